/**
 * Reading what is left, with real errors from a real kernel: /proc/self/mem gives EIO where nothing is mapped, and stops short
 * in front of it, just as a hugetlbfs file does at a bad 4 KiB.
 */

import assert from "node:assert/strict";
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { writeAt } from "../../src/linux/file-transfer.js";
import { allocateNative } from "../../src/linux/native-memory.js";
import { systemCall } from "../../src/linux/system-call.js";
import { RecoveryError } from "../../src/recovery/recovery-error.js";
import { type PutPiece, type Salvaged, salvage } from "../../src/recovery/salvage.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const SIZE = 2 * 1024 * 1024;
const PAGES = SIZE / 4096;

function fill(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += 8) bytes.writeBigUInt64LE(BigInt(at) * 0x9e3779b1n + 1n, at);
}

/** A new file of `SIZE` bytes that are all holes, as an overlay is. */
class EmptyOverlay implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly #path = join(this.#folder.path, "overlay");
  readonly descriptor: number = openSync(this.#path, "w+");

  constructor() {
    ftruncateSync(this.descriptor, SIZE);
  }

  readonly put: PutPiece = (from, size, position) => writeAt(this.descriptor, from, size, BigInt(position));

  get content(): Buffer {
    return readFileSync(this.#path);
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
    this.#folder[Symbol.dispose]();
  }
}

/** Salvages memory of our own in which some pages are missing. @returns what was copied, and what was found */
function salvageWithHoles(holes: readonly number[]): { right: Buffer; copy: Buffer; salvaged: Salvaged } {
  using target = new EmptyOverlay();
  const source = allocateNative(SIZE);
  const memory = openSync("/proc/self/mem", "r");
  try {
    fill(source.bytes);
    const right = Buffer.from(source.bytes);
    for (const hole of holes) {
      // SAFETY: pages of our own new mapping, which nothing reads any more but the kernel below.
      systemCall("munmap", source.address + BigInt(hole * 4096), 4096);
    }
    const salvaged = salvage(
      { file: memory, offset: source.address, size: SIZE, pretendBad: [] },
      target.put,
    );
    return { right, copy: target.content, salvaged };
  } finally {
    closeSync(memory);
    source.release();
  }
}

function refusedWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RecoveryError && error.code === code;
}

describe("salvage", () => {
  const cases: readonly (readonly [what: string, holes: readonly number[]])[] = [
    ["nothing", []],
    ["the first page", [0]],
    ["the last page", [PAGES - 1]],
    ["neighbours", [100, 101, 102]],
    ["every second page", Array.from({ length: PAGES / 2 }, (_, index) => index * 2)],
    ["all but one page", Array.from({ length: PAGES }, (_, index) => index).filter((page) => page !== 77)],
  ];
  for (const [what, holes] of cases) {
    it(`copies every byte but ${what}`, () => {
      const { right, copy, salvaged } = salvageWithHoles(holes);
      assert.deepEqual(
        salvaged.lost,
        holes.map((page) => page * 4096),
      );
      assert.equal(salvaged.bytes, SIZE - holes.length * 4096);
      const missing = new Set(holes);
      for (let page = 0; page < PAGES; page++) {
        const [from, to] = [page * 4096, (page + 1) * 4096];
        if (missing.has(page))
          assert.ok(
            copy.subarray(from, to).every((byte) => byte === 0),
            `page ${page}`,
          );
        else assert.ok(copy.subarray(from, to).equals(right.subarray(from, to)), `page ${page}`);
      }
    });
  }

  it("gives up when nothing can be read", () => {
    const all = Array.from({ length: PAGES }, (_, page) => page);
    assert.throws(() => salvageWithHoles(all), refusedWith("HM_SALVAGE_ALL_LOST"));
  });

  it("gives up at the end of a file that is too short, and at any error but EIO", () => {
    using folder = new TemporaryFolder();
    using target = new EmptyOverlay();
    const file = join(folder.path, "short");
    writeFileSync(file, Buffer.alloc(SIZE - 4096, 1));
    const descriptor = openSync(file, "r");
    const directory = openSync(folder.path, "r");
    try {
      for (const wrong of [descriptor, directory, -1]) {
        assert.throws(
          () => salvage({ file: wrong, offset: 0n, size: SIZE, pretendBad: [] }, target.put),
          refusedWith("HM_SALVAGE_READ"),
        );
      }
    } finally {
      closeSync(descriptor);
      closeSync(directory);
    }
  });
});
