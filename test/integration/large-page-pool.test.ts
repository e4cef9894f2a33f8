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

it("the answer is what the counters of the pool say", () => {
  // That pool is seldom filled; others may change it meanwhile, but not each time.
  const size = 2 ** 30;
  if (!existsSync(folder(size))) return assert.throws(() => hasFreeLargePage(size), /mmap failed/);
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
