import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../address.js";
import { LinuxError } from "../linux-error.js";
import { readMaps } from "./maps.js";
import { parseSmaps, readSmaps, readSmapsEntry } from "./smaps.js";

/** Objects as the parsers make them, so that deepEqual compares fields only. */
const PLAIN = { noNullPrototype: true } as const;

const FLAGS = [
  "rd",
  "wr",
  "ex",
  "sh",
  "mr",
  "mw",
  "me",
  "ms",
  "lo",
  "dc",
  "dd",
  "ht",
  "mg",
  "um",
  "uw",
  "hg",
  "nh",
];

interface Shape {
  readonly pageKilobytes: number;
  readonly flags: string[];
  readonly rss: number;
}

const shapeArbitrary: fc.Arbitrary<Shape> = fc.record(
  {
    pageKilobytes: fc.constantFrom(4, 64, 2048, 1_048_576),
    flags: fc.uniqueArray(fc.constantFrom(...FLAGS)),
    rss: fc.nat(1_000_000),
  },
  PLAIN,
);

/** Writes entries as show_smap() does; entry N starts at N MiB. */
function render(shapes: readonly Shape[]): string {
  return shapes
    .map((shape, index) => {
      const start = (index + 1) * 0x100000;
      const pad = (value: number) => String(value).padStart(8);
      return [
        `${start.toString(16).padStart(8, "0")}-${(start + 0x80000).toString(16).padStart(8, "0")} rw-s 00000000 00:0f ${index + 1}                                  /dev/hugepages/r ${index}`,
        `Size:           ${pad(512)} kB`,
        `KernelPageSize: ${pad(shape.pageKilobytes)} kB`,
        `MMUPageSize:    ${pad(shape.pageKilobytes)} kB`,
        `Rss:            ${pad(shape.rss)} kB`,
        "THPeligible:           0",
        "ProtectionKey:         0",
        `VmFlags: ${shape.flags.map((flag) => `${flag} `).join("")}`,
        "",
      ].join("\n");
    })
    .join("");
}

function accepts(text: string): boolean {
  try {
    parseSmaps(text);
    return true;
  } catch (error) {
    if (error instanceof LinuxError) return false;
    throw error;
  }
}

describe("smaps", () => {
  it("reads page size, flags and counters of every mapping", () => {
    fc.assert(
      fc.property(fc.array(shapeArbitrary, { maxLength: 8 }), (shapes) => {
        const entries = parseSmaps(render(shapes));
        assert.equal(entries.length, shapes.length);
        shapes.forEach((shape, index) => {
          const entry = entries[index];
          assert.equal(entry?.kernelPageSize, shape.pageKilobytes * 1024);
          assert.deepEqual([...(entry?.vmFlags ?? [])].sort(), [...shape.flags].sort());
          assert.equal(entry?.bytes.get("Rss"), shape.rss * 1024);
          assert.equal(entry?.mapping.path, `/dev/hugepages/r ${index}`);
        });
      }),
    );
  });

  it("gives a value or a LinuxError for any text, and for any damage to a right one", () => {
    fc.assert(
      fc.property(
        fc.array(shapeArbitrary, { maxLength: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(200),
        fc.string({ unit: "binary-ascii", maxLength: 30 }),
        (shapes, at, drop, insert) => {
          const text = render(shapes);
          const index = Math.floor(at * text.length);
          accepts(text.slice(0, index) + insert + text.slice(index + drop));
          accepts(insert);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("refuses a text cut off anywhere but between two mappings", () => {
    const text = render([
      { pageKilobytes: 2048, flags: ["rd", "ht"], rss: 0 },
      { pageKilobytes: 4, flags: [], rss: 4 },
    ]);
    const whole = [0, text.indexOf("00200000-"), text.length];
    for (let length = 0; length <= text.length; length += 1) {
      assert.equal(accepts(text.slice(0, length)), whole.includes(length), `cut at ${length}`);
    }
  });

  it("reads one mapping of this process as the whole reader does", () => {
    const counters = ({
      vmFlags,
      kernelPageSize,
    }: {
      vmFlags: ReadonlySet<string>;
      kernelPageSize: number;
    }) => ({
      vmFlags,
      kernelPageSize,
    });
    const all = readSmaps(process.pid);
    const text = readMaps(process.pid).find(({ path, execute }) => path === process.execPath && execute);
    assert.ok(text);
    const one = readSmapsEntry(process.pid, text.start);
    const same = all.find(({ mapping }) => mapping.start === text.start);
    assert.ok(one && same);
    assert.deepEqual(one.mapping, text);
    assert.deepEqual(counters(one), counters(same));
    assert.equal(one.kernelPageSize, 4096);
    assert.ok(one.vmFlags.has("ex") && !one.vmFlags.has("wr"));
  });

  it("finds no entry where no mapping starts", () => {
    assert.equal(readSmapsEntry(process.pid, hva(0x1000n)), undefined);
    assert.equal(readSmapsEntry(process.pid, hva((1n << 64n) - 4096n)), undefined);
  });
});
