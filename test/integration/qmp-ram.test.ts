import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gpa, hex } from "../../src/linux/address.js";
import { QmpCommands } from "../../src/qemu/qmp-commands.js";
import { askHva, gpaOf, hvaOf, readRamLayout } from "../../src/qemu/ram-blocks.js";
import { acquire } from "../hugepages.js";
import { StockQemu } from "./qmp-stock-qemu.js";

const MIB = 2n ** 20n;
/** Guest memory on both sides of the PCI hole, a second node, and a DIMM above it; nothing is touched but the firmware's. */
const MACHINES: Readonly<Record<string, readonly string[]>> = {
  "q35 with memory above 4 GiB and a DIMM": [
    ...["-machine", "q35,memory-backend=ram0", "-m", "4G,slots=2,maxmem=8G"],
    ...["-object", "memory-backend-memfd,id=ram0,size=4G,share=on,reserve=off"],
    ...["-object", "memory-backend-ram,id=plug,size=256M", "-device", "pc-dimm,id=d1,memdev=plug"],
  ],
  "i440fx 3.1 with canonical names and video memory": [
    ...["-machine", "pc-i440fx-3.1,memory-backend=ram0", "-m", "4G", "-device", "VGA"],
    ...["-object", "memory-backend-memfd,id=ram0,size=4G,share=on,reserve=off"],
  ],
  "two NUMA nodes": [
    ...["-machine", "q35", "-m", "128M", "-smp", "2"],
    ...["-object", "memory-backend-memfd,id=a,size=64M", "-numa", "node,memdev=a,cpus=0"],
    ...["-object", "memory-backend-memfd,id=b,size=64M", "-numa", "node,memdev=b,cpus=1"],
  ],
  "no backend": ["-machine", "q35", "-m", "64M"],
};

for (const [what, args] of Object.entries(MACHINES)) {
  test(`every section agrees with QEMU's own gpa2hva: ${what}`, async () => {
    await using qemu = await StockQemu.start({ args, paused: true });
    using client = await qemu.connect();
    const commands = new QmpCommands(client);
    const { blocks, sections } = await readRamLayout(commands);
    assert.ok(sections.length >= 2);
    for (const s of sections) {
      for (const offset of [0n, BigInt(s.size) - 4096n]) {
        const at = gpa(s.gpa + offset);
        assert.equal(await askHva(commands, at), s.hva + offset, `${s.blockName} ${hex(at)}`);
        assert.equal(hvaOf(sections, at), s.hva + offset);
      }
      const block = blocks.find((b) => b.name === s.blockName);
      assert.ok(block?.hva !== null && block !== undefined && s.hva === block.hva + BigInt(s.blockOffset));
    }
    const memory = await commands.queryMemdev();
    for (const { id, size } of memory) {
      assert.ok(
        blocks.some((b) => b.size === size && (b.name === id || b.name === `/objects/${id}`)),
        `${id}`,
      );
    }
    assert.equal(await askHva(commands, gpa(1n << 50n)), null);
  });
}

test("the split at the PCI hole, back and forth", async () => {
  const args = MACHINES["q35 with memory above 4 GiB and a DIMM"];
  await using qemu = await StockQemu.start({ ...(args === undefined ? {} : { args }), paused: true });
  using client = await qemu.connect();
  const { sections } = await readRamLayout(new QmpCommands(client));
  const low = hvaOf(sections, gpa(2047n * MIB));
  const high = hvaOf(sections, gpa(4096n * MIB));
  assert.ok(low !== null && high !== null);
  assert.equal(high - low, MIB, "neighbours in QEMU, 2 GiB apart in the guest");
  assert.equal(gpaOf(sections, high), 4096n * MIB);
  assert.equal(hvaOf(sections, gpa(3000n * MIB)), null);
});

test("large pages: page size and the mapping in the process", async () => {
  await using _pool = await acquire(16);
  const backend = "memory-backend-memfd,id=ram0,size=32M,share=on,hugetlb=on,hugetlbsize=2M";
  const args = ["-machine", "q35,memory-backend=ram0", "-m", "32M", "-object", backend];
  await using qemu = await StockQemu.start({ args, paused: true });
  using client = await qemu.connect();
  const { blocks } = await readRamLayout(new QmpCommands(client));
  const ram = blocks.find((b) => b.name === "ram0");
  assert.ok(ram !== undefined && ram.hva !== null);
  assert.deepEqual([ram.pageSize, ram.size], [2 ** 21, 2 ** 25]);
  const maps = readFileSync(`/proc/${qemu.child.pid}/maps`, "utf8");
  assert.ok(maps.includes(`${ram.hva.toString(16)}-`), "the block begins where a mapping does");
});
