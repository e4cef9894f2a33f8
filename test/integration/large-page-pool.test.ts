import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { it } from "node:test";
import { hasFreeLargePage } from "../../src/linux/large-page-pool.js";
import { LARGE_PAGE } from "../framework/ram-victim.js";
import { acquire } from "../hugepages.js";

const folder = (size: number): string => `/sys/kernel/mm/hugepages/hugepages-${size / 1024}kB`;
const count = (size: number, name: string): number =>
  Number(readFileSync(`${folder(size)}/${name}`, "latin1"));

it("a pool that holds a free page says so, and keeps it", async () => {
  await using pool = await acquire(1, LARGE_PAGE);
  assert.ok(pool.count > 0);
  assert.equal(hasFreeLargePage(LARGE_PAGE), true);
  assert.equal(hasFreeLargePage(LARGE_PAGE), true, "and again");
});

it("a pool that this machine does not have is an error, not an empty one", () => {
  // No x86-64 kernel has pages of 8 MiB.
  const size = 2 ** 23;
  assert.ok(!existsSync(folder(size)));
  assert.throws(() => hasFreeLargePage(size), /mmap failed/);
});

it("the answer is what the counters of the pool say", (test) => {
  // The pool of 1 GiB is seldom filled; others may change it meanwhile, but not each time. Processors without such pages have the other.
  const size = existsSync(folder(2 ** 30)) ? 2 ** 30 : LARGE_PAGE;
  test.diagnostic(`the pool of ${size / 2 ** 20} MiB`);
  const counters = (): string => `${count(size, "free_hugepages")} ${count(size, "resv_hugepages")}`;
  let before = "";
  let found = false;
  do {
    before = counters();
    found = hasFreeLargePage(size);
  } while (before !== counters());
  const [free = 0, reserved = 0] = before.split(" ").map(Number);
  assert.equal(found, free > reserved, before);
});
