import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exitsAtReset, lossRoute, newestMachineType, olderThan } from "./qemu-release.js";

const release = (text: string) => {
  const [major = 0, minor = 0] = text.split(".").map(Number);
  return { major, minor };
};

test("who ends at a reset, and who is told by the monitor", () => {
  const rows = [
    ["4.2", true, "signal"],
    ["5.1", true, "signal"],
    ["5.2", true, "monitor"],
    ["7.2", true, "monitor"],
    ["8.2", true, "monitor"],
    ["9.0", true, "signal"],
    ["9.2", true, "signal"],
    ["10.0", false, "signal"],
    ["11.1", false, "signal"],
  ] as const;
  for (const [text, exits, route] of rows) {
    assert.equal(exitsAtReset(release(text)), exits, text);
    assert.equal(lossRoute(release(text)), route, text);
  }
});

test("releases are ordered as numbers are, not as text is", () => {
  const part = fc.nat(30);
  fc.assert(
    fc.property(part, part, part, part, (a, b, c, d) => {
      assert.equal(olderThan({ major: a, minor: b }, c, d), a * 100 + b < c * 100 + d);
    }),
  );
});

test("the newest machine type of a program", () => {
  const names = "\0pc-i440fx-2.12-machine\0pc-q35-7.2\0pc-q35-10.0\0pc-q35-9.2-machine\0";
  assert.deepEqual(newestMachineType(names), { major: 10, minor: 0 });
  assert.deepEqual(newestMachineType("pc-i440fx-2.9\0pc-i440fx-2.12"), { major: 2, minor: 12 });
  assert.equal(newestMachineType("pc-q35-rhel9.4.0 pc-q35-9.4.0 virt-10.0 pc-q35-"), undefined);
});
