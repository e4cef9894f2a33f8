/** Which folder may import which, checked for every source file. The order of this list is the architecture. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** A folder imports only folders before it, and itself. `errors.ts` is free to all. */
const order = ["linux", "ledger", "tracee", "qemu", "recovery", "guard", "daemon", "cli"];
/** Outside of src; may import src, never the other way round. */
const outside = ["lab", "bench", "test", "scripts"];

/** One import of one file. */
interface Import {
  /** Relative to the root, such as `src/guard/guard.ts`. */
  readonly file: string;
  /** As written. */
  readonly specifier: string;
}

function importsIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statement = /\b(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/g;
  const bare = /\bimport\s*\(?\s*["']([^"']+)["']/g;
  return [...code.matchAll(statement), ...code.matchAll(bare)].map(([, specifier]) => specifier ?? "");
}

function importsBelow(folder: string): Import[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const file = join(folder, name);
      return importsIn(readFileSync(join(ROOT, file), "utf8")).map((specifier) => ({ file, specifier }));
    });
}

/** @returns path of an imported file relative to the root, undefined for a package */
function target({ file, specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return relative(ROOT, resolve(ROOT, dirname(file), specifier));
}

/** @returns what is wrong with an import of a file below src, undefined if nothing is */
function violation(one: Import): string | undefined {
  const { file, specifier } = one;
  const [, from = ""] = file.split("/");
  const path = target(one);
  if (path === undefined) {
    if (specifier === "koffi" && from !== "linux") return "only src/linux calls the kernel";
    return undefined;
  }
  if (!path.startsWith("src/")) return "src imports nothing outside of src";
  if (!specifier.endsWith(".js")) return "an import names the compiled file";
  const [, to = ""] = path.split("/");
  if (to === "errors.js") return undefined;
  if (from === "errors.ts") return "errors.ts imports nothing";
  if (!order.includes(to) || !order.includes(from)) return `${from} and ${to} must stand in the order`;
  return order.indexOf(to) <= order.indexOf(from) ? undefined : `${from} must not import ${to}`;
}

describe("import direction", () => {
  const imports = importsBelow("src");

  it("sees the imports of src", () => {
    assert.ok(imports.length > 200, `only ${imports.length} imports found`);
    assert.ok(imports.some(({ specifier }) => specifier === "koffi"));
  });

  it("goes one way through src", () => {
    const wrong = imports.flatMap((one) => {
      const why = violation(one);
      return why === undefined ? [] : [`${one.file} imports ${one.specifier}: ${why}`];
    });
    assert.deepEqual(wrong, []);
  });

  it("would notice each kind of wrong import", () => {
    const wrong: readonly (readonly [file: string, specifier: string])[] = [
      ["src/linux/a.ts", "../tracee/b.js"],
      ["src/recovery/a.ts", "../guard/b.js"],
      ["src/guard/doctor/a.ts", "../../cli/b.js"],
      ["src/tracee/a.ts", "koffi"],
      ["src/cli/a.ts", "../../lab/main.js"],
      ["src/guard/a.ts", "../../test/framework/child.js"],
      ["src/guard/a.ts", "../linux/address.ts"],
      ["src/other/a.ts", "../linux/address.js"],
      ["src/errors.ts", "./linux/address.js"],
    ];
    for (const [file, specifier] of wrong) {
      assert.notEqual(violation({ file, specifier }), undefined, `${file} imports ${specifier}`);
    }
    assert.equal(violation({ file: "src/linux/a.ts", specifier: "../errors.js" }), undefined);
    assert.equal(violation({ file: "src/linux/procfs/a.ts", specifier: "koffi" }), undefined);
  });

  it("has no cycle between the files of src, types aside", () => {
    const edges = new Map<string, string[]>();
    for (const one of runtimeImports()) {
      const to = target(one)?.replace(/\.js$/, ".ts");
      if (to !== undefined) edges.set(one.file, [...(edges.get(one.file) ?? []), to]);
    }
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `a cycle: ${[...path, file].join(" -> ")}`);
      if (done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of edges.keys()) visit(file, []);
  });

  it("keeps koffi out of lab, bench and tests", () => {
    const wrong = outside
      .filter((folder) => readdirSync(ROOT).includes(folder))
      .flatMap(importsBelow)
      .filter(({ specifier }) => specifier === "koffi");
    assert.deepEqual(wrong, []);
  });
});

/** Imports that stay in the compiled code. */
function runtimeImports(): Import[] {
  return readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const file = join("src", name);
      const text = readFileSync(join(ROOT, file), "utf8").replace(/\b(?:import|export) type\b[^;]*;/g, "");
      return importsIn(text).map((specifier) => ({ file, specifier }));
    });
}
