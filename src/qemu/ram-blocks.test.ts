import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gpa, hva } from "../linux/address.js";
import { parseFlatView } from "./flat-view.js";
import { QemuError } from "./qemu-error.js";
import { parseRamBlocks } from "./ram-block-table.js";
import { gpaOf, hvaOf, joinSections, type RamSection } from "./ram-blocks.js";

// As printed by QEMU 10.0.13 (q35, 4 GiB in a backend, one DIMM), shortened.
const BLOCKS_10 = `              Block Name    PSize              Offset               Used              Total                HVA  RO
                    ram0    2 MiB  0x0000000000000000 0x0000000100000000 0x0000000100000000 0x00007f5943fff000  rw
                   dimm1    4 KiB  0x0000000100000000 0x0000000010000000 0x0000000010000000 0x00007f5933c00000  rw
   0000:00:01.0/vga.vram    4 KiB  0x0000000110080000 0x0000000001000000 0x0000000001000000 0x00007f5a89000000  rw
    /rom@etc/acpi/tables    4 KiB  0x00000001110c0000 0x0000000000020000 0x0000000000200000 0x00007f5a88a00000  ro
                 pc.bios    4 KiB  0x0000000110000000 0x0000000000040000 0x0000000000040000 0x00007f5a8a400000  ro
`;
// As printed by QEMU 7.2.22 (i440fx of version 3.1: canonical path as the block's name).
const BLOCKS_7 = `              Block Name    PSize              Offset               Used              Total
           /objects/ram0    1 GiB  0x0000000000000000 0x0000000100000000 0x0000000100000000
`;
const VIEW = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000cf9-0000000000000cf9 (prio 1, i/o): lpc-reset-control

FlatView #1
 AS "device-memory", root: device-memory
 Root memory region: dimm1
  0000000000000000-000000000fffffff (prio 0, ram): dimm1

FlatView #2
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-000000000009ffff (prio 0, ram): ram0 KVM
  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem
  00000000000c0000-00000000000dffff (prio 1, rom): ram0 @00000000000c0000 KVM
  00000000000e0000-00000000000fffff (prio 0, rom): pc.bios @0000000000020000
  0000000000100000-000000007fffffff (prio 0, ram): ram0 @0000000000100000 KVM
  00000000c0000000-00000000c0ffffff (prio 1, ram): vga.vram
  00000000c1000000-00000000c1000fff (prio 0, ramd): 0000:00:04.0 BAR 0 mmaps[0]
  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
  0000000100000000-000000017fffffff (prio 0, ram): ram0 @0000000080000000 KVM owner:{obj path=/objects/ram0}
  0000000180000000-000000018fffffff (prio 0, nv-ram): dimm1

FlatView #3
 AS "VGA", root: bus master container
 Root memory region: (none)
  No rendered FlatView
`;

test("the layout of QEMU 10 with a hole, shadowed firmware and a DIMM", () => {
  const blocks = parseRamBlocks(BLOCKS_10);
  assert.equal(blocks[0]?.pageSize, 2 ** 21);
  assert.equal(blocks[3]?.name, "/rom@etc/acpi/tables");
  const sections = joinSections(blocks, parseFlatView(VIEW.replaceAll("\n", "\r\n")));
  assert.deepEqual(
    sections.map(
      (s) => `${s.gpa.toString(16)} ${s.size.toString(16)} ${s.blockName} ${s.blockOffset.toString(16)}`,
    ),
    [
      "0 a0000 ram0 0",
      "c0000 20000 ram0 c0000",
      "e0000 20000 pc.bios 20000",
      "100000 7ff00000 ram0 100000",
      "c0000000 1000000 0000:00:01.0/vga.vram 0",
      "fffc0000 40000 pc.bios 0",
      "100000000 80000000 ram0 80000000",
      "180000000 10000000 dimm1 0",
    ],
  );
  // The address QEMU's own gpa2hva gave.
  assert.equal(hvaOf(sections, gpa(0x100000)), hva(0x7f59440ff000n));
  assert.equal(gpaOf(sections, hva(0x7f5943fff000n + 0x80000000n)), gpa(0x100000000n));
  assert.equal(hvaOf(sections, gpa(0x90000000)), null);
  assert.equal(gpaOf(sections, hva(0x1000)), null);
});

test("the table of QEMU 7.2 has no addresses", () => {
  assert.deepEqual(parseRamBlocks(BLOCKS_7), [
    { name: "/objects/ram0", pageSize: 2 ** 30, size: 2 ** 32, hva: null },
  ]);
});

test("memory of a passed-through device, which has no name, is left out", () => {
  const nameless =
    "                            4 KiB  0x00000000100c0000 0x0000000000004000 0x0000000000004000 0x00007f5eec64c000  rw\n";
  assert.deepEqual(parseRamBlocks(`${BLOCKS_10}${nameless}${nameless}`), parseRamBlocks(BLOCKS_10));
});

test("two devices with the same region name give no section rather than a wrong one", () => {
  const row = (slot: number) =>
    `   0000:00:0${slot}.0/vga.vram    4 KiB  0x0000000000000000 0x0000000001000000 0x0000000001000000 0x00007f000${slot}000000  rw\n`;
  const blocks = parseRamBlocks(`${BLOCKS_10.split("\n", 1)[0]}\n${row(1)}${row(2)}`);
  assert.deepEqual(joinSections(blocks, parseFlatView(VIEW)), []);
});

test("contradictions are refused", () => {
  const refuse = (run: () => unknown, code: string) => assert.throws(run, { name: "QemuError", code });
  refuse(() => parseRamBlocks(""), "HM_QEMU_RAM_BLOCKS");
  refuse(() => parseRamBlocks("unknown command: 'info ramblock'\r\n"), "HM_QEMU_RAM_BLOCKS");
  refuse(() => parseRamBlocks(`${BLOCKS_7}garbage\n`), "HM_QEMU_RAM_BLOCKS");
  refuse(() => parseRamBlocks(BLOCKS_10.replace("dimm1", " ram0")), "HM_QEMU_RAM_BLOCKS");
  refuse(() => parseRamBlocks(BLOCKS_10.replace("7f5933c00000", "7f5944000000")), "HM_QEMU_RAM_BLOCKS");
  refuse(
    () => parseRamBlocks(BLOCKS_10.replace("00007f5943fff000", "ffffffffffff0000")),
    "HM_QEMU_RAM_BLOCKS",
  );
  refuse(() => parseFlatView("unknown command: 'info mtree'"), "HM_QEMU_MEMORY_TREE");
  refuse(() => parseFlatView(VIEW.replace("00000000c0000000-", "0000000070000000-")), "HM_QEMU_MEMORY_TREE");
  refuse(() => parseFlatView(VIEW.replace("(prio 0, nv-ram)", "{prio 0}")), "HM_QEMU_MEMORY_TREE");
  const outside = parseFlatView(VIEW.replace("@0000000080000000", "@00000000c0000000"));
  refuse(() => joinSections(parseRamBlocks(BLOCKS_10), outside), "HM_QEMU_MEMORY_TREE");
});

/** Real answers with a few characters replaced, removed or doubled. */
function damaged(text: string): fc.Arbitrary<string> {
  const edit = fc.tuple(
    fc.nat(text.length),
    fc.nat(30),
    fc.oneof(fc.string({ maxLength: 8 }), fc.constant("0"), fc.constant("\n")),
  );
  return fc.array(edit, { maxLength: 4 }).map((edits) => {
    let out = text;
    for (const [at, cut, insert] of edits) out = out.slice(0, at) + insert + out.slice(at + cut);
    return out;
  });
}

function assertSound(sections: readonly RamSection[]): void {
  for (const [i, s] of sections.entries()) {
    const next = sections[i + 1];
    assert.ok(s.size > 0 && s.blockOffset >= 0);
    assert.ok(next === undefined || s.gpa + BigInt(s.size) <= next.gpa, "sections overlap");
    assert.equal(hvaOf(sections, s.gpa), s.hva);
  }
}

test("any text gives sound sections or a QemuError", () => {
  const text = (real: string) => fc.oneof(damaged(real), fc.string(), fc.constant(real));
  fc.assert(
    fc.property(text(BLOCKS_10), text(VIEW), (blocks, view) => {
      try {
        assertSound(joinSections(parseRamBlocks(blocks), parseFlatView(view)));
      } catch (error) {
        assert.ok(error instanceof QemuError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("hostile lengths do not make it crawl", () => {
  const start = performance.now();
  const blanks = " ".repeat(2 ** 20);
  assert.throws(() => parseRamBlocks(`${BLOCKS_7}x${blanks}y\n`), { name: "QemuError" });
  parseFlatView(VIEW.replace("ram0 KVM", `a${blanks}`));
  assert.ok(performance.now() - start < 2000);
});
