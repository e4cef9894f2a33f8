/** What the documents show is what the program says, and what they point at exists. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PUBLIC_SCHEMAS, type PublicEvent } from "../../src/ledger/events.js";
import { decodeRecord } from "../../src/ledger/record.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

const pages: readonly { readonly path: string; readonly text: string }[] = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map((name) => join("docs", name)),
]
  .filter((path) => path.endsWith(".md"))
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));

function isEventName(name: unknown): name is PublicEvent["event"] {
  return typeof name === "string" && Object.hasOwn(PUBLIC_SCHEMAS, name);
}

test("every event that is shown is one that a guard could print", () => {
  const shown = new Set<string>();
  for (const { path, text } of pages) {
    for (const line of text.match(/^ +\{"event":.*\}$/gm) ?? []) {
      const value: unknown = JSON.parse(line);
      assert.ok(typeof value === "object" && value !== null && "event" in value);
      if (value.event === "demo") continue;
      assert.ok(isEventName(value.event), `${path}: ${line}`);
      assert.deepEqual(PUBLIC_SCHEMAS[value.event].parse(value), value, `${path}: ${line}`);
      shown.add(value.event);
    }
  }
  const all = Object.keys(PUBLIC_SCHEMAS);
  assert.deepEqual([...shown].sort(), all.sort(), "an example of every event");
});

test("ledger lines that are shown have a checksum that holds", () => {
  const lines = pages.flatMap(({ text }) => text.match(/^ +\{"crc":.*\}$/gm) ?? []);
  assert.ok(lines.length > 0);
  for (const line of lines) {
    const decoded = decodeRecord(Buffer.from(line.trim()), 1);
    assert.ok(typeof decoded !== "string", `${line}: ${String(decoded)}`);
  }
});

test("links and file names in the documents lead somewhere", () => {
  const dead: string[] = [];
  for (const { path, text } of pages) {
    for (const [, target = ""] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      const file = join(ROOT, dirname(path), target);
      if (!/^[a-z]+:/.test(target) && !existsSync(file)) dead.push(`${path}: ${target}`);
    }
    for (const [, name = ""] of text.matchAll(/`((?:src|test|lab|docs)\/[\w./-]+\.(?:ts|md|svg|c))`/g)) {
      if (!existsSync(join(ROOT, name))) dead.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(dead, []);
});

/** @returns what stands as a whole string literal in the place of a title; a part that is there or not is left out */
function titlesIn(source: string): Set<string> {
  const calls = source.matchAll(/\b(?:it|test|describe)(?:\.\w+)?\(\s*(["'`])((?:(?!\1)[^\\]|\\.)*)\1/g);
  return new Set([...calls].map(([, , title = ""]) => title.replace(/\$\{\w+ \? "[^"]*" : ""\}/g, "")));
}

test("every test that docs/guarantees.md names has that title", () => {
  const page = pages.find(({ path }) => path.endsWith("guarantees.md"))?.text ?? "";
  const claims = [...page.matchAll(/`([\w./-]+\.test\.ts)`: ("[^|]*)/g)];
  assert.ok(claims.length > 15);
  for (const [, file = "", titles = ""] of claims) {
    const source = readFileSync(join(ROOT, file), "utf8");
    for (const [, title = ""] of titles.matchAll(/"([^"]+)"/g)) {
      assert.ok(titlesIn(source).has(title), `${file} has no test "${title}"`);
    }
  }
});

test("the unit of the user guide starts a guard again whatever has ended it, and never kills one that fills", () => {
  const guide = pages.find(({ path }) => path.endsWith("user-guide.md"))?.text ?? "";
  const unit = /^ {4}\[Unit\]\n[\s\S]*?(?=^ {4}\[Install\])/m.exec(guide)?.[0] ?? "";
  const settings = new Map(
    [...unit.matchAll(/^ {4}(\w+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]),
  );
  assert.equal(settings.get("Restart"), "on-failure");
  assert.equal(settings.get("StartLimitIntervalSec"), "0");
  assert.equal(settings.get("RestartPreventExitStatus"), undefined);
  assert.equal(settings.get("TimeoutStopSec"), "infinity");
});
