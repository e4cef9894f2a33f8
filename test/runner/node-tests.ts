/** Runs test files with node:test, each in a process of its own, and counts every single test. */

import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "node:test";
import { inspect } from "node:util";
import type { Tally } from "./tally.js";

/** How a group of test files is run. */
export interface FilesOptions {
  /** Files at a time. */
  readonly concurrency: number;
  /** How long one file may take, in milliseconds. */
  readonly patienceMs: number;
  /** Ends the run: files that run are ended, others do not begin. */
  readonly signal?: AbortSignal;
}

/**
 * @param root of the package
 * @param folders with sources, relative to `root`
 * @returns the compiled form of every `.test.ts` below them: a leftover of a deleted source is not among them
 * @throws Error if a source was not compiled
 */
export function compiledTests(root: string, folders: readonly string[]): string[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".test.ts"))
        .sort()
        .map((name) => join(root, "dist", folder, name.replace(/\.ts$/, ".js"))),
    )
    .map((file) => {
      if (!existsSync(file)) throw new Error(`${file} does not exist: the build did not compile it`);
      return file;
    });
}

interface FileCount {
  tests: number;
  failures: number;
  milliseconds: number;
}

/** Runs files and adds what they find. */
export async function runTestFiles(
  tally: Tally,
  files: readonly string[],
  options: FilesOptions,
): Promise<void> {
  const counts = new Map<string, FileCount>(
    files.map((file) => [file, { tests: 0, failures: 0, milliseconds: 0 }]),
  );
  const begun = performance.now();
  const { concurrency, patienceMs: timeout, signal } = options;
  const stream = run({
    files: [...files],
    concurrency,
    timeout,
    ...(signal === undefined ? {} : { signal }),
  });
  const complaints = new Map<string, string>();
  let current: string | undefined;
  for await (const { type, data } of stream) {
    // What fails from here on fails because it was ended.
    if (signal?.aborted === true) break;
    if (type === "test:stderr")
      complaints.set(data.file, `${complaints.get(data.file) ?? ""}${data.message}`);
    if (type !== "test:pass" && type !== "test:fail") continue;
    const file = data.file ?? "";
    if (current !== undefined && current !== file) report(tally, current, counts.get(current));
    current = file;
    const count = counts.get(file);
    // A file that ends badly after its tests is told under its own name; one without tests "passes" under its own name.
    const isFile = data.name === file;
    if (data.details.type === "suite" && type === "test:pass") continue;
    if (data.details.type === "suite" && isSumOfOthers(data.details)) continue;
    if (isFile && type === "test:pass") continue;
    if (count !== undefined) count.milliseconds = performance.now() - begun;
    const name = `${basename(file)}: ${data.name}`;
    if (data.skip !== undefined || data.todo !== undefined) {
      tally.skip(name, typeof data.skip === "string" ? data.skip : "");
      if (count !== undefined) count.tests += 1;
    } else if (type === "test:pass") {
      tally.pass();
      if (count !== undefined) count.tests += 1;
    } else {
      if (count !== undefined) count.failures += 1;
      tally.fail(name, `${reasonOf(data.details)}${isFile ? `\n${complaints.get(file) ?? ""}` : ""}`.trim());
    }
  }
  if (current !== undefined) report(tally, current, counts.get(current));
  if (signal?.aborted === true) return;
  for (const [file, { tests, failures }] of counts) {
    if (tests + failures === 0) tally.fail(basename(file), "the file holds no test, or did not run");
  }
}

/** A suite that fails because a test in it has: that test was counted. */
function isSumOfOthers(details: object): boolean {
  return "error" in details && inspect(details.error).includes("subtestsFailed");
}

function reasonOf(details: object): string {
  if (!("error" in details) || !(details.error instanceof Error)) return "no reason was given";
  const { cause } = details.error;
  if (cause instanceof Error) return cause.stack ?? cause.message;
  return typeof cause === "string" ? cause : details.error.message;
}

function report(tally: Tally, file: string, count: FileCount | undefined): void {
  if (count === undefined) return;
  const failures = count.failures === 0 ? "" : `, ${count.failures} failed`;
  tally.say(
    `${basename(file)}: ${count.tests} ok${failures} (at ${(count.milliseconds / 1000).toFixed(0)} s)`,
  );
}
