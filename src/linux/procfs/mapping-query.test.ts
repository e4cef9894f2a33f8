import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../address.js";
import { MappingQuery, NAME_LIMIT, QUERY_SIZE, queryField } from "./mapping-query.js";
import { parseMaps } from "./maps.js";

const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

/** As the kernel fills it in for a mapping. */
const filled = fc
  .record({
    start: fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
    size: fc.bigInt({ min: 1n, max: 1n << 62n }),
    flags: fc.nat(15),
    pageSize: fc.constantFrom(4096n, 1n << 21n, 1n << 30n),
    offset: word,
    inode: word,
    major: fc.nat(0xfff),
    minor: fc.nat(0xfffff),
    path: fc.constantFrom("", "/memfd:ram (deleted)", "[heap]", "/srv/ü b", "/a\nb"),
  })
  .map((fields) => {
    const query = Buffer.from(new ArrayBuffer(QUERY_SIZE + NAME_LIMIT));
    const name = query.subarray(QUERY_SIZE).fill(0xff);
    const end = fields.start + fields.size;
    query.writeBigUInt64LE(fields.start, queryField.start);
    query.writeBigUInt64LE(end, queryField.end);
    query.writeUInt32LE(fields.flags, queryField.flags);
    query.writeBigUInt64LE(fields.offset, queryField.offset);
    query.writeBigUInt64LE(fields.inode, queryField.inode);
    query.writeBigUInt64LE(fields.pageSize, queryField.pageSize);
    query.writeUInt32LE(fields.major, queryField.deviceMajor);
    query.writeUInt32LE(fields.minor, queryField.deviceMinor);
    const size = fields.path === "" ? 0 : name.write(`${fields.path}\0`);
    query.writeUInt32LE(size, queryField.nameSize);
    const permissions = [..."rwx"].map((letter, bit) => (fields.flags & (1 << bit) ? letter : "-")).join("");
    const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");
    const line =
      `${hex(fields.start, 8)}-${hex(end, 8)} ${permissions}${fields.flags & 8 ? "s" : "p"} ${hex(fields.offset, 8)} ` +
      `${hex(fields.major, 2)}:${hex(fields.minor, 2)} ${fields.inode} ${fields.path.replaceAll("\n", "\\012")}\n`;
    return { query, line, pageSize: fields.pageSize };
  });

describe("an answer to PROCMAP_QUERY", () => {
  it("tells the same as the line of /proc/PID/maps", () => {
    fc.assert(
      fc.property(filled, ({ query, line, pageSize }) => {
        const answered = new MappingQuery(query, 0x1000n);
        assert.deepEqual(answered.answer(), parseMaps(line)[0]);
        assert.equal(answered.pageSize(), Number(pageSize));
      }),
    );
  });
});

describe("a question for PROCMAP_QUERY", () => {
  it("holds size, address and the name's buffer, also after an answer", () => {
    const memory = Buffer.from(new ArrayBuffer(QUERY_SIZE + NAME_LIMIT));
    const query = new MappingQuery(memory, 0x1000n);
    // What the kernel writes: from vma_start up to build_id_size.
    memory.fill(0xff, queryField.start, queryField.nameAddress);
    query.ask(hva(0x7f00_1234_5678n));
    const word = (at: number): bigint => memory.readBigUInt64LE(at);
    assert.deepEqual([word(0), word(8), word(16)], [104n, 0n, 0x7f00_1234_5678n]);
    assert.equal(memory.readUInt32LE(queryField.nameSize), 4096);
    assert.deepEqual([word(queryField.nameAddress), word(96)], [0x1000n + 104n, 0n]);
  });
});
