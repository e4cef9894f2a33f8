import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../../src/linux/address.js";
import { readDescriptors } from "../../src/linux/procfs/fdinfo.js";
import { readMappingAt } from "../../src/linux/procfs/find-mapping.js";
import { readHugepagePools } from "../../src/linux/procfs/hugepages.js";
import { hugetlbMappings, hugetlbPageSize, mapFilesPath } from "../../src/linux/procfs/map-files.js";
import { findMappers } from "../../src/linux/procfs/mappers.js";
import { mappingAt, readMaps } from "../../src/linux/procfs/maps.js";
import { readPagemap } from "../../src/linux/procfs/pagemap.js";
import { readSmapsEntry } from "../../src/linux/procfs/smaps.js";
import { readStatus } from "../../src/linux/procfs/status.js";
import { acquire } from "../hugepages.js";
import { startHolder } from "../hugetlb-holder.js";

const LARGE = 2 * 1024 * 1024;

describe("procfs readers on a process with large pages", () => {
  it("finds its large pages, their size, sharing and path", async () => {
    await using _pages = await acquire(3);
    await using holder = await startHolder(["3", "shared"]);
    const mappings = readMaps(holder.pid);
    const found = hugetlbMappings(holder.pid, mappings);
    assert.equal(found.length, 1);
    const [large] = found;
    assert.ok(large);
    assert.equal(large.pageSize, LARGE);
    assert.equal(large.mapping.start, holder.start);
    assert.equal(large.mapping.end - large.mapping.start, BigInt(3 * LARGE));
    assert.equal(large.mapping.shared, true);
    assert.equal(large.mapping.path, "/memfd:test ram (deleted)");
    const middle = hva(holder.start + BigInt(LARGE) + 77n);
    assert.deepEqual(mappingAt(mappings, middle), large.mapping);
    assert.deepEqual(readMappingAt(holder.pid, middle), large.mapping);
    assert.match(mapFilesPath(holder.pid, large.mapping), /^\/proc\/\d+\/map_files\/[0-9a-f]+-[0-9a-f]+$/);
    const ordinary = mappings.find(({ path }) => path.includes("hugetlb-holder"));
    assert.ok(ordinary);
    assert.equal(hugetlbPageSize(holder.pid, ordinary), undefined);
    const pool = readHugepagePools().find(({ pageSize }) => pageSize === LARGE);
    assert.ok(pool && pool.total >= 3);
  });

  it("tells a private mapping from a shared one", async () => {
    await using _pages = await acquire(2);
    await using holder = await startHolder(["1", "private"]);
    const [large] = hugetlbMappings(holder.pid, readMaps(holder.pid));
    assert.equal(large?.mapping.shared, false);
    assert.equal(large?.pageSize, LARGE);
  });

  it("reads page size and flags from smaps", async () => {
    await using _pages = await acquire(1);
    await using holder = await startHolder(["1", "shared", "dontdump", "watch"]);
    const entry = readSmapsEntry(holder.pid, holder.start);
    assert.equal(entry?.kernelPageSize, LARGE);
    for (const flag of ["sh", "ht", "dd", "um"]) assert.ok(entry?.vmFlags.has(flag), flag);
    assert.equal(entry?.vmFlags.has("mg"), false);
    const populated = ["Shared_Hugetlb", "Private_Hugetlb"].map((name) => entry?.bytes.get(name) ?? 0);
    assert.equal((populated[0] ?? 0) + (populated[1] ?? 0), LARGE);
  });

  it("reads frame numbers: consecutive within a large page, none where nothing was touched", async () => {
    await using _pages = await acquire(2);
    await using holder = await startHolder(["2", "shared"]);
    const entries = readPagemap(holder.pid, holder.start, 1024);
    assert.equal(entries.length, 1024);
    const first = entries[0]?.pfn;
    assert.ok(first !== undefined && first % 512n === 0n, `frame ${first}`);
    entries.slice(0, 512).forEach((entry, index) => {
      assert.equal(entry.present && entry.file, true);
      assert.equal(entry.pfn, first + BigInt(index));
    });
    assert.ok(entries.slice(512).every(({ present, pfn }) => !present && pfn === undefined));
  });

  it("knows O_DIRECT, io_uring and userfaultfd among its descriptors, and aio among its mappings", async () => {
    await using _pages = await acquire(1);
    await using holder = await startHolder([
      "1",
      "shared",
      `odirect=${process.execPath}`,
      "aio",
      "io_uring",
      "watch",
    ]);
    const descriptors = readDescriptors(holder.pid);
    assert.deepEqual(
      descriptors.filter(({ direct }) => direct).map(({ link }) => link),
      [process.execPath],
    );
    for (const kind of ["io_uring", "userfaultfd", "memfd"] as const) {
      assert.equal(descriptors.filter((descriptor) => descriptor.kind === kind).length, 1, kind);
    }
    assert.equal(readMaps(holder.pid).filter(({ path }) => path.startsWith("/[aio]")).length, 1);
  });

  it("finds the other process that maps the same pages, and only that one", async () => {
    await using _pages = await acquire(2);
    await using owner = await startHolder(["1", "shared"]);
    await using other = await startHolder(["1", "shared", `map=/proc/${owner.pid}/fd/${owner.fd}`]);
    await using stranger = await startHolder(["1", "shared"]);
    const files = hugetlbMappings(owner.pid, readMaps(owner.pid)).map(({ mapping }) => mapping);
    const { mappers } = findMappers(files, [owner.pid]);
    assert.deepEqual(
      mappers.map(({ pid, comm, shared }) => ({ pid, comm, shared })),
      [{ pid: other.pid, comm: "hugetlb-holder", shared: true }],
    );
    assert.ok(mappers.every(({ pid }) => pid !== stranger.pid));
  });

  it("sees tracer, seccomp and locked memory in its status", async () => {
    await using _pages = await acquire(1);
    await using plain = await startHolder(["1", "shared"]);
    assert.equal(readStatus(plain.pid).tracerPid, 0);
    assert.equal(readStatus(plain.pid).seccomp, 0);
    assert.equal(readStatus(plain.pid).lockedBytes, 0);
    await plain[Symbol.asyncDispose]();
    await using holder = await startHolder(["1", "shared", "lock", "seccomp", "traced"]);
    const status = readStatus(holder.pid);
    assert.equal(readStatus(status.tracerPid).ppid, holder.pid);
    assert.equal(status.seccomp, 2);
    assert.equal(status.lockedBytes, 4096);
  });

  it("says so when the process has gone", async () => {
    await using _pages = await acquire(1);
    const holder = await startHolder(["1", "shared"]);
    await holder[Symbol.asyncDispose]();
    for (const read of [readMaps, readStatus, readDescriptors]) {
      assert.throws(() => read(holder.pid), { name: "LinuxError", code: "HM_PROC_GONE" });
    }
  });
});
