/** docs/error-codes.md names every code of the source, and no other. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PAGE = "docs/error-codes.md";

/** Codes that stand as whole string literals: prose about `HM_PROC_…` does not count. */
function codesOfSource(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
    const text = readFileSync(join(ROOT, "src", name), "utf8");
    for (const [, code = ""] of text.matchAll(/["'`](HM_[A-Z0-9_]*[A-Z0-9])["'`]/g)) found.set(code, name);
  }
  return found;
}

/** Rows that begin with a code; each must have a text in every cell. */
function codesOfPage(): string[] {
  return readFileSync(join(ROOT, PAGE), "utf8")
    .split("\n")
    .flatMap((line) => {
      const code = /^\| `(HM_[A-Z0-9_]+)` \|/.exec(line)?.[1];
      if (code === undefined) return [];
      const cells = line.split("|").slice(1, -1);
      assert.ok(cells.length >= 3 && cells.every((cell) => cell.trim() !== ""), `a cell is empty: ${line}`);
      return [code];
    });
}

test("every code in src/ is explained", () => {
  const source = codesOfSource();
  assert.ok(source.size > 80, `only ${source.size} codes were found in src/`);
  const page = new Set(codesOfPage());
  const missing = [...source].filter(([code]) => !page.has(code)).map(([code, file]) => `${code} (${file})`);
  assert.deepEqual(missing, [], `${PAGE} does not explain these codes`);
});

test("every explained code exists in src/, and is explained once", () => {
  const source = codesOfSource();
  const page = codesOfPage();
  assert.deepEqual(
    page.filter((code) => !source.has(code)),
    [],
    `${PAGE} explains codes that src/ does not have`,
  );
  assert.deepEqual(
    page.filter((code, index) => page.indexOf(code) !== index),
    [],
  );
});
