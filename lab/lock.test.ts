import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withLock } from "./lock.js";

it("lets one in at a time, and takes a dead one's lock", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hugemend-lock-"));
  try {
    const path = join(folder, "lock");
    // What a holder leaves behind that was killed.
    writeFileSync(path, "1 12345");
    let inside = 0;
    let most = 0;
    const waited: number[] = [];
    const one = (): Promise<void> =>
      withLock(
        path,
        (pid) => waited.push(pid),
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          await sleep(20);
          inside -= 1;
        },
      );
    await Promise.all([one(), one(), one(), one()]);
    assert.equal(most, 1);
    assert.equal(waited.length, 3);
    assert.deepEqual(readdirSync(folder), []);
    await assert.rejects(
      withLock(
        path,
        () => {},
        () => Promise.reject(new Error("work failed")),
      ),
      /work failed/,
    );
    await one();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
