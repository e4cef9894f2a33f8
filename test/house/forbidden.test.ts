/** What no source file may hold: see CONTRIBUTING.md. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const LONGEST = 400;
const files = ["src", "lab", "bench", "test", "scripts"]
  .filter((folder) => existsSync(join(ROOT, folder)))
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ts|c|h)$/.test(name))
      .map((name) => join(folder, name)),
  );

/** Code without comments and texts, line by line. */
function codeLines(text: string): string[] {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""))
    .replace(/`(?:\\.|[^`\\])*`/g, (literal) => `\`${literal.replace(/[^\n]/g, "")}\``)
    .split("\n")
    .map((line) => line.replace(/"(?:\\.|[^"\\])*"/g, '""').replace(/\/\/.*$/, ""));
}

const forbidden: readonly (readonly [what: string, pattern: RegExp])[] = [
  ["any as a type", /(?:[:<,|&(]|\bas)\s*any\b(?!\s*[(:.])/],
  ["a non-null assertion", /[\w)\]]!(?:[.;,)\]]|$)/],
  ["a test that is skipped or runs alone", /\b(?:it|test|describe)\.(?:skip|only|todo)\b/],
];

/** Switches off the compiler or hides its findings. */
const directives = new RegExp(["@ts-", "(?:ignore|nocheck|expect-error)"].join(""));

function findings(file: string, text: string): string[] {
  const found: string[] = [];
  const lines = codeLines(text);
  lines.forEach((line, index) => {
    for (const [what, pattern] of forbidden) {
      if (pattern.test(line)) found.push(`${file}:${index + 1}: ${what}`);
    }
  });
  text.split("\n").forEach((line, index, all) => {
    if (directives.test(line)) found.push(`${file}:${index + 1}: a compiler directive`);
    const code = lines[index] ?? "";
    const isCast =
      /\bas\s+(?!const\b|["'])[A-Z{([]?[\w<>[\]{}(). |]*[;,)]?\s*$/.test(code) && !isImport(code, all, index);
    if (isCast && !hasReason(all, index))
      found.push(`${file}:${index + 1}: a cast without // SAFETY: above it`);
  });
  return found;
}

/** `import * as name` and `import { a as b }` are no casts. */
function isImport(code: string, lines: readonly string[], index: number): boolean {
  if (/^\s*(?:import|export)\b/.test(code)) return true;
  const before = lines.slice(0, index).reverse();
  const opening = before.findIndex((line) => /^\s*(?:import|export)\b.*\{\s*$/.test(line));
  const closing = before.findIndex((line) => /^\}|;\s*$/.test(line));
  return opening >= 0 && (closing < 0 || opening < closing);
}

function hasReason(lines: readonly string[], index: number): boolean {
  return lines.slice(Math.max(0, index - 4), index).some((line) => line.includes("// SAFETY:"));
}

describe("source files", () => {
  it("are found", () => assert.ok(files.length > 100, `${files.length} files`));

  it(`have at most ${LONGEST} lines`, () => {
    const long = files.filter(
      (file) => readFileSync(join(ROOT, file), "utf8").split("\n").length > LONGEST + 1,
    );
    assert.deepEqual(long, []);
  });

  it("hold nothing that is forbidden", () => {
    const typescript = files.filter((file) => file.endsWith(".ts"));
    const found = typescript.flatMap((file) => findings(file, readFileSync(join(ROOT, file), "utf8")));
    assert.deepEqual(found, []);
  });

  it("would be caught", () => {
    for (const line of [
      "const a: any = 1;",
      "const a = b as any;",
      "function f(a: string, b: any) {}",
      "const a: Map<string, any> = b;",
      "const a = b!;",
      "const a = b!.c;",
      "const a = b as Hva;",
      "return b as unknown as Hva;",
      ["it", ".skip('a');"].join(""),
      ["// @ts-", "ignore"].join(""),
    ]) {
      assert.equal(findings("x.ts", line).length > 0, true, line);
    }
    for (const line of [
      "const a = pollAnyThread();",
      "// any reason",
      'const a = "as any";',
      "if (!a) return !b;",
      "const a = [1] as const;",
      "  // SAFETY: checked above.\n  return a as Hva;",
      'import * as ptrace from "./ptrace.js";',
      "const many = company;",
    ]) {
      assert.deepEqual(findings("x.ts", line), [], line);
    }
  });
});
