import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { withLock } from "./lock.js";
import { cacheFolder } from "./places.js";
import type { Progress } from "./progress.js";

/** Marks a folder as whole; written last, inside the folder, before it gets its final name. */
const seal = ".complete";

/**
 * A folder of the cache that is built once. It is built under another name and renamed when whole, so a run that was cut off leaves
 * nothing that a later one could take for good; two runs at once wait for each other.
 *
 * @param kind first part of its name; older folders of the same kind are removed when a new one is built, but for the newest `keep`
 * @param key what its content depends on, as a hash
 * @param keep how many of the kind may stay beside it
 * @param build fills an empty folder
 * @returns its path
 */
export async function cachedFolder(
  progress: Progress,
  kind: string,
  key: string,
  keep: number,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const cache = cacheFolder();
  const folder = join(cache, `${kind}-${key}`);
  if (isWhole(folder)) return touched(folder);
  mkdirSync(cache, { recursive: true });
  const waiting = (pid: number): void =>
    progress.note(`waiting for process ${pid}, which is building ${kind}`);
  return withLock(join(cache, `${kind}.lock`), waiting, async () => {
    if (isWhole(folder)) return touched(folder);
    // Under the lock, everything of this kind that is not whole is left over from a run that was cut off.
    for (const name of readdirSync(cache)) {
      if (name.startsWith(`${kind}-`) && !isWhole(join(cache, name))) remove(join(cache, name));
    }
    const building = `${folder}.building`;
    mkdirSync(building);
    try {
      await build(building);
      writeFileSync(join(building, seal), "");
      renameSync(building, folder);
    } catch (error) {
      remove(building);
      throw error;
    }
    dropOld(cache, kind, folder, keep);
    return folder;
  });
}

function isWhole(folder: string): boolean {
  return existsSync(join(folder, seal));
}

/** Marks a folder as used now, so that cleaning removes others first. */
function touched(folder: string): string {
  const now = new Date();
  utimesSync(join(folder, seal), now, now);
  return folder;
}

function dropOld(cache: string, kind: string, current: string, keep: number): void {
  const others = readdirSync(cache)
    .filter((name) => name.startsWith(`${kind}-`) && join(cache, name) !== current)
    .map((name) => join(cache, name))
    .filter(isWhole)
    .sort((a, b) => statTime(b) - statTime(a));
  for (const folder of others.slice(keep)) remove(folder);
}

function statTime(folder: string): number {
  return statSync(join(folder, seal)).mtimeMs;
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
