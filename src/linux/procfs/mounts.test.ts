import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { hugetlbMounts, type Mount, parseMountinfo, readMounts } from "./mounts.js";

/** Objects as the parsers make them, so that deepEqual compares fields only. */
const PLAIN = { noNullPrototype: true } as const;

/** Octal for blank, tab, newline, backslash and #, as mangle_path() does it. */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\#]/g, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function render(mount: Mount, optional: readonly string[]): string {
  const { device, root, mountPoint, options, fsType, source, superOptions } = mount;
  return `36 35 ${device} ${escaped(root)} ${escaped(mountPoint)} ${options.join(",")}${optional.map((field) => ` ${field}`).join("")} - ${fsType} ${escaped(source)} ${superOptions.join(",")}\n`;
}

const path = fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => `/${text}`);
const word = fc.stringMatching(/^[a-z0-9=]{1,12}$/);
const mountArbitrary: fc.Arbitrary<Mount> = fc.record(
  {
    device: fc.tuple(fc.nat(4095), fc.nat(1_048_575)).map(([major, minor]) => `${major}:${minor}`),
    root: path,
    mountPoint: path,
    options: fc.array(word, { minLength: 1, maxLength: 4 }),
    fsType: word,
    source: fc.oneof(path, fc.constant("none")),
    superOptions: fc.array(word, { minLength: 1, maxLength: 4 }),
  },
  PLAIN,
);
const optionalArbitrary = fc.array(fc.constantFrom("shared:1", "master:2", "unbindable"), { maxLength: 3 });

describe("mountinfo", () => {
  it("reads back every mount the kernel can print", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(mountArbitrary, optionalArbitrary), { maxLength: 5 }), (mounts) => {
        const text = mounts.map(([mount, optional]) => render(mount, optional)).join("");
        assert.deepEqual(
          parseMountinfo(text),
          mounts.map(([mount]) => mount),
        );
      }),
    );
  });

  it("gives a value or a LinuxError for any text", () => {
    fc.assert(
      fc.property(
        mountArbitrary,
        fc.string({ unit: "binary-ascii" }),
        fc.nat(120),
        fc.nat(20),
        (mount, insert, at, drop) => {
          const text = render(mount, []);
          for (const candidate of [insert, text.slice(0, at) + insert + text.slice(at + drop)]) {
            try {
              parseMountinfo(candidate);
            } catch (error) {
              assert.ok(error instanceof LinuxError, String(error));
            }
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("finds hugetlbfs with its page size as hugetlbfs_show_options() prints it", () => {
    const mounts = parseMountinfo(
      "40 24 0:15 / /dev/hugepages rw - hugetlbfs hugetlbfs rw,pagesize=2M\n" +
        "41 24 0:16 / /mnt/huge\\0401G rw - hugetlbfs none rw,uid=64055,pagesize=1024M\n" +
        "42 24 0:17 / /proc rw - proc proc rw\n",
    );
    assert.deepEqual(hugetlbMounts(mounts), [
      { mountPoint: "/dev/hugepages", pageSize: 2 ** 21 },
      { mountPoint: "/mnt/huge 1G", pageSize: 2 ** 30 },
    ]);
    const [first] = mounts;
    assert.ok(first);
    assert.throws(() => hugetlbMounts([{ ...first, superOptions: ["rw"] }]), { code: "HM_PROC_FORMAT" });
  });

  it("reads the mounts of this process", () => {
    assert.ok(
      readMounts(process.pid).some(({ mountPoint, fsType }) => mountPoint === "/proc" && fsType === "proc"),
    );
  });
});
