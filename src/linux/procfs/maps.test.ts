import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../address.js";
import { LinuxError } from "../linux-error.js";
import { findMapping } from "./find-mapping.js";
import { type Mapping, mappingAt, parseMaps, readMaps, readMapsText } from "./maps.js";

/** Objects as the parsers make them, so that deepEqual compares fields only. */
const PLAIN = { noNullPrototype: true } as const;

/** Writes mappings as show_map_vma() does: hexadecimal padded to 8, the path from column 73 on. */
function render(mappings: readonly Mapping[]): string {
  return mappings
    .map((mapping) => {
      const hex8 = (value: bigint) => value.toString(16).padStart(8, "0");
      const flags =
        (mapping.read ? "r" : "-") +
        (mapping.write ? "w" : "-") +
        (mapping.execute ? "x" : "-") +
        (mapping.shared ? "s" : "p");
      const head = `${hex8(mapping.start)}-${hex8(mapping.end)} ${flags} ${hex8(mapping.offset)} ${mapping.device} ${mapping.inode} `;
      const path = mapping.path.replaceAll("\n", "\\012");
      return `${path === "" ? head : `${head.padEnd(72)} ${path}`}\n`;
    })
    .join("");
}

const pathArbitrary = fc.oneof(
  fc.constantFrom(
    "",
    "[heap]",
    "[stack]",
    "[anon: glibc: malloc]",
    "/memfd:ram (deleted)",
    "/anon_hugepage (deleted)",
  ),
  fc.constantFrom("/[aio] (deleted)", "/dev/hugepages/a b\nc", "/SYSV00000000 (deleted)", "(unreachable)/x"),
  fc
    .string({ unit: "binary", maxLength: 40 })
    .filter((text) => !text.includes("\\012") && !text.includes("\0"))
    .map((text) => `/${text}`),
);

const deviceArbitrary = fc
  .tuple(fc.nat(0xfff), fc.nat(0xfffff))
  .map(([major, minor]) => `${major.toString(16).padStart(2, "0")}:${minor.toString(16).padStart(2, "0")}`);

const mappingsArbitrary: fc.Arbitrary<Mapping[]> = fc
  .uniqueArray(fc.bigInt({ min: 0n, max: (1n << 52n) - 1n }), { maxLength: 24 })
  .map((pages) => pages.sort((left, right) => (left < right ? -1 : 1)).map((page) => page * 4096n))
  .chain((bounds) => {
    const pairs: [bigint, bigint][] = [];
    for (let index = 0; index + 1 < bounds.length; index += 2) {
      pairs.push([bounds[index] ?? 0n, bounds[index + 1] ?? 0n]);
    }
    return fc.tuple(
      ...pairs.map(([start, end]) =>
        fc
          .record({
            read: fc.boolean(),
            write: fc.boolean(),
            execute: fc.boolean(),
            shared: fc.boolean(),
            offset: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
            device: deviceArbitrary,
            inode: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
            path: pathArbitrary,
          })
          .map((rest) => ({ start: hva(start), end: hva(end), ...rest })),
      ),
    );
  });

/** Some small damage: a piece replaced by another text. */
const damageArbitrary = fc.record(
  {
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.nat(60),
    insert: fc.oneof(
      fc.constantFrom("", "\n", " ", "-", "f", ":", "0", "-0 ", "\\012"),
      fc.string({ maxLength: 5 }),
    ),
  },
  PLAIN,
);

type Damage = { at: number; drop: number; insert: string };

function damaged(text: string, damages: readonly Damage[]): string {
  return damages.reduce((before, { at, drop, insert }) => {
    const index = Math.floor(at * before.length);
    return before.slice(0, index) + insert + before.slice(index + drop);
  }, text);
}

/** A second reader of the same format, slow and written differently; undefined where the text must be refused. */
function oracle(text: string): Mapping[] | undefined {
  if (text === "") return [];
  if (!text.endsWith("\n")) return undefined;
  const form =
    /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-])([w-])([x-])([sp]) ([0-9a-f]{1,16}) ([0-9a-f]+:[0-9a-f]+) (\d{1,20})(?: +([^ ].*)?)?$/s;
  const mappings: Mapping[] = [];
  for (const line of text.slice(0, -1).split("\n")) {
    const match = form.exec(line);
    if (match === null) return undefined;
    const [, start, end, read, write, execute, shared, offset, device, inode, path] = match;
    const mapping: Mapping = {
      start: hva(BigInt(`0x${start}`)),
      end: hva(BigInt(`0x${end}`)),
      read: read === "r",
      write: write === "w",
      execute: execute === "x",
      shared: shared === "s",
      offset: BigInt(`0x${offset}`),
      device: device ?? "",
      inode: BigInt(inode ?? ""),
      path: (path ?? "").replaceAll("\\012", "\n"),
    };
    if (mapping.start >= mapping.end || mapping.inode >= 1n << 64n) return undefined;
    if (mapping.start < (mappings.at(-1)?.end ?? 0n)) return undefined;
    mappings.push(mapping);
  }
  return mappings;
}

/** The value, or undefined for a LinuxError; anything else thrown fails the test. */
function orRefused<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof LinuxError) return undefined;
    throw error;
  }
}

describe("maps", () => {
  it("reads back every list of mappings the kernel can print", () => {
    fc.assert(
      fc.property(mappingsArbitrary, (mappings) => {
        assert.deepEqual(parseMaps(render(mappings)), mappings);
      }),
      { numRuns: 500 },
    );
  });

  it("agrees with a second reader on damaged text: the same mappings, or refused by both", () => {
    fc.assert(
      fc.property(mappingsArbitrary, fc.array(damageArbitrary, { maxLength: 4 }), (mappings, damages) => {
        const text = damaged(render(mappings), damages);
        assert.deepEqual(
          orRefused(() => parseMaps(text)),
          oracle(text),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it("gives a value or a LinuxError for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        orRefused(() => parseMaps(text));
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses a text that was cut off, for its last mapping may be wrong", () => {
    const text =
      "00400000-00401000 rw-s 00000000 00:0f 4711                               /dev/hugepages/ram\n";
    assert.equal(parseMaps(text)[0]?.path, "/dev/hugepages/ram");
    for (let length = 1; length < text.length; length += 1) {
      assert.throws(() => parseMaps(text.slice(0, length)), { name: "LinuxError", code: "HM_PROC_FORMAT" });
    }
  });

  it("refuses addresses that go backwards or overlap", () => {
    const line = (start: string, end: string) => `${start}-${end} rw-p 00000000 00:00 0 \n`;
    assert.equal(parseMaps(line("1000", "2000") + line("2000", "3000")).length, 2);
    assert.throws(() => parseMaps(line("1000", "3000") + line("2000", "4000")), { code: "HM_PROC_FORMAT" });
    assert.throws(() => parseMaps(line("2000", "2000")), { code: "HM_PROC_FORMAT" });
  });

  it("refuses numbers that do not fit 64 bits", () => {
    const line = (start: string, end: string, offset: string, inode: string) =>
      `${start}-${end} rw-p ${offset} 00:00 ${inode} \n`;
    const most = "ffffffffffffffff";
    const [mapping] = parseMaps(line("fffffffffffff000", most, most, "18446744073709551615"));
    assert.equal(mapping?.end, (1n << 64n) - 1n);
    assert.equal(mapping?.inode, (1n << 64n) - 1n);
    for (const text of [
      line(`1${most}`, `2${most}`, "0", "0"),
      line("1000", `1${most}`, "0", "0"),
      line("1000", "2000", `1${most}`, "0"),
      line("1000", "2000", "0", "18446744073709551616"),
      line("1000", "2000", "0", "100000000000000000000"),
    ]) {
      assert.throws(() => parseMaps(text), { code: "HM_PROC_FORMAT" }, text);
    }
  });

  it("finds the mapping of an address, and nothing in holes", () => {
    fc.assert(
      fc.property(mappingsArbitrary, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (mappings, anywhere) => {
        const text = render(mappings);
        const probes = mappings.flatMap(({ start, end }) => [start, end - 1n, end, start - 1n]);
        for (const probe of [...probes, anywhere]) {
          if (probe < 0n || probe >= 1n << 64n) continue;
          const expected = mappings.find(({ start, end }) => start <= probe && probe < end);
          assert.deepEqual(mappingAt(mappings, hva(probe)), expected);
          assert.deepEqual(findMapping(text, hva(probe)), expected);
        }
      }),
    );
  });

  it("finds nothing else than the full reader, or refuses, on damaged text", () => {
    fc.assert(
      fc.property(
        mappingsArbitrary,
        fc.array(damageArbitrary, { maxLength: 2 }),
        fc.nat(30),
        (mappings, damages, at) => {
          const text = damaged(render(mappings), damages);
          const whole = oracle(text);
          const address = mappings[at % Math.max(mappings.length, 1)]?.start ?? hva(0n);
          const found = orRefused(() => findMapping(text, address));
          if (whole !== undefined) assert.deepEqual(found, mappingAt(whole, address));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("reads this process as the kernel prints it", () => {
    const text = readMapsText(process.pid);
    const mappings = parseMaps(text);
    assert.equal(render(mappings), text);
    assert.ok(readMaps(process.pid).some(({ path, execute }) => path === process.execPath && execute));
  });

  it("names a process that does not exist", () => {
    assert.throws(() => readMaps(4_194_304), { name: "LinuxError", code: "HM_PROC_GONE" });
    for (const pid of [0, -1, 1.5, Number.NaN, 4_194_305]) {
      assert.throws(() => readMaps(pid), { name: "LinuxError", code: "HM_BAD_PID" });
    }
  });
});
