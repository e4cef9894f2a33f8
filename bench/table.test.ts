import assert from "node:assert/strict";
import { test } from "node:test";
import { metricOf } from "./metric.js";
import { plainNumber, tableRow } from "./table.js";

test("numbers have the digits that count", () => {
  const numbers = [1234.5, 45.67, 1.234, 0.01234, 0.5, 0, Number.NaN].map(plainNumber);
  assert.deepEqual(numbers, ["1235", "45.7", "1.23", "0.0123", "0.5", "0", "NaN"]);
});

test("a row says what was promised and whether it is kept", () => {
  assert.match(
    tableRow(metricOf("a", "ms", 1, 2, { limit: 0.6 })),
    /^a +1\.00 ms +2\.00 ms +0\.5 {2}at most 0\.6: kept\n$/,
  );
  assert.match(
    tableRow(metricOf("a", "ms", 1, 2, { limit: 1.1, least: 0.9 })),
    /at least 0\.9, at most 1\.10: MISSED\n$/,
  );
  assert.match(tableRow(metricOf("a", "ms", 1, 2)), /0\.5\n$/);
  assert.match(
    tableRow(metricOf("a", "ms", 1, 2, { limit: 1, spread: [0.4, 0.61] })),
    /0\.5 {2}rounds 0\.4 to 0\.61; at most 1\.00: kept\n$/,
  );
  assert.match(
    tableRow(metricOf("a", "ms", 4, 5, { least: 0.9, at: 50, over: "guards" })),
    /0\.8 {2}at 50 guards; at least 0\.9: MISSED\n$/,
  );
  assert.match(tableRow({ metric: "a", notMeasured: "no page" }), /^a +NOT MEASURED: no page\n$/);
});
