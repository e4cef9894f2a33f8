import assert from "node:assert/strict";
import { test } from "node:test";
import { cpioType, packCpio } from "./cpio.js";

test("an archive holds its entries in order, aligned, and ends with the trailer", () => {
  const archive = packCpio([
    { path: "dev", mode: cpioType.directory | 0o755 },
    { path: "dev/null", mode: cpioType.character | 0o666, device: [1, 3] },
    { path: "init", mode: cpioType.file | 0o755, data: Buffer.from("hello") },
  ]);
  const names: string[] = [];
  let at = 0;
  while (at < archive.length) {
    assert.equal(archive.toString("latin1", at, at + 6), "070701");
    const field = (n: number): number =>
      Number.parseInt(archive.toString("latin1", at + 6 + n * 8, at + 14 + n * 8), 16);
    const nameEnd = at + 110 + field(11);
    const name = archive.toString("latin1", at + 110, nameEnd - 1);
    names.push(name);
    const data = Math.ceil(nameEnd / 4) * 4;
    if (name === "init") assert.equal(archive.toString("latin1", data, data + field(6)), "hello");
    if (name === "dev/null") assert.deepEqual([field(9), field(10)], [1, 3]);
    at = Math.ceil((data + field(6)) / 4) * 4;
  }
  assert.deepEqual(names, ["dev", "dev/null", "init", "TRAILER!!!"]);
  assert.equal(archive.length % 4, 0);
});
