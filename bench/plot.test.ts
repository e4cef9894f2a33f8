import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { escapeHtml } from "../lab/escape-html.js";
import { curveMetric } from "./curve.js";
import { logScale } from "./log-scale.js";
import { metricOf } from "./metric.js";
import { plotPage } from "./plot.js";

const points = [1, 10, 100].map((x) => ({ x, rounds: [2 * x * x, 3 * x * x, 4 * x * x] }));
const outcomes = [
  metricOf("stall.2M", "µs", 500, 1000, { limit: 0.5 }),
  metricOf("stall.1G", "ms", 900, 1000, { limit: 0.002 }),
  curveMetric("scale.pages", "ms", "pages", points),
  { metric: "fault.1G", notMeasured: "<nothing> was missing & so on" },
];

test("every outcome stands on the page, and nothing is loaded", () => {
  const page = plotPage(outcomes, "a machine", new Date(0));
  for (const { metric } of outcomes) assert.ok(page.includes(metric), metric);
  assert.ok(page.includes("&lt;nothing&gt; was missing &amp; so on"));
  assert.equal((page.match(/class="bar missed"/g) ?? []).length, 2);
  assert.doesNotMatch(page, /NaN|undefined|https?:|<script|src=/);
});

test("a page without a number is a page", () => {
  assert.match(plotPage([], "a machine", new Date(0)), /<\/html>\n$/);
});

test("text cannot become markup", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.doesNotMatch(escapeHtml(text), /[<>"]/)));
});

test("a logarithmic axis keeps the order, inside its ends", () => {
  const positive = fc.double({ min: 1e-6, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(fc.array(positive, { minLength: 2 }), (values) => {
      const scale = logScale(values, 10, 110);
      const places = [...values].sort((left, right) => left - right).map((value) => scale.at(value));
      assert.ok(places.every((place, index) => place >= (places[index - 1] ?? 10) && place <= 110.001));
    }),
  );
});
