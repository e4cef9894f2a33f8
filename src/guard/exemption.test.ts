import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { guestNameOf, parseExemptions } from "./exemption.js";

describe("guestNameOf", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["-name vm1", "vm1"],
    ["--name vm1", "vm1"],
    ["-name guest=vm1,debug-threads=on", "vm1"],
    ["-name debug-threads=on,guest=vm1", "vm1"],
    ["-name vm1,process=qemu", "vm1"],
    ["-name first -m 1G -name second", "second"],
    ["-name a,,b", "a,b"],
    ["-name debug-threads=on", undefined],
    ["-name", undefined],
    ["-m 1G", undefined],
  ];
  for (const [line, expected] of cases) {
    it(line, () => {
      assert.equal(guestNameOf(line.split(" ")), expected);
    });
  }

  it("reads back every name", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        assert.equal(guestNameOf(["-name", `guest=${name.replaceAll(",", ",,")}`]), name);
      }),
    );
  });
});

describe("parseExemptions", () => {
  it("takes one name a line", () => {
    const names = parseExemptions("# left alone\n\n  database \nweb 1\n#web 2\n");
    assert.deepEqual([...names], ["database", "web 1"]);
  });
});
