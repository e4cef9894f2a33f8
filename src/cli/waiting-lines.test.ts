import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WaitingLines } from "./waiting-lines.js";

const dropped = (count: number): string => `${count} dropped\n`;

/** Reads up to `room` bytes. */
function read(lines: WaitingLines, room: number, most = room): string {
  let text = "";
  lines.give((bytes) => {
    const part = bytes.subarray(0, Math.min(most, room - text.length));
    text += part.toString();
    return part.length;
  });
  return text;
}

describe("lines that wait for a reader", () => {
  it("come in order, whole, however little is taken at a time", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{0,30}$/)),
        fc.array(fc.integer({ min: 0, max: 20 })),
        (texts, rooms) => {
          const lines = new WaitingLines(dropped);
          let got = "";
          texts.forEach((text, index) => {
            lines.add(`${text}\n`);
            got += read(lines, rooms[index] ?? 0);
          });
          got += read(lines, Number.POSITIVE_INFINITY, 3);
          assert.equal(got, texts.map((text) => `${text}\n`).join(""));
          assert.ok(lines.empty);
        },
      ),
    );
  });

  it("give way to newer ones, and say how many they were; a line that was begun is ended", () => {
    const lines = new WaitingLines(dropped);
    lines.add("first\n");
    assert.equal(read(lines, 2), "fi");
    for (let line = 0; line < 1500; line++) lines.add(`${line}\n`);
    const got = read(lines, Number.POSITIVE_INFINITY).split("\n");
    assert.deepEqual(got.slice(0, 3), ["rst", "500 dropped", "500"]);
    assert.equal(got.length, 1003);
    lines.add("later\n");
    assert.equal(read(lines, 100), "later\n");
  });

  it("are bounded in bytes as well, but for one", () => {
    const lines = new WaitingLines(dropped);
    const long = `${"x".repeat(3 * 2 ** 20)}\n`;
    for (let line = 0; line < 3; line++) lines.add(long);
    assert.equal(read(lines, Number.POSITIVE_INFINITY), `2 dropped\n${long}`);
    const longest = `${"x".repeat(9 * 2 ** 20)}\n`;
    lines.add(longest);
    assert.equal(read(lines, Number.POSITIVE_INFINITY), longest);
  });

  it("can be forgotten", () => {
    const lines = new WaitingLines(dropped);
    lines.add("a\n");
    lines.clear();
    assert.ok(lines.empty);
    assert.equal(read(lines, 100), "");
  });
});
