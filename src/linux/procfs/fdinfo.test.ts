import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { type DescriptorKind, descriptorKind, isDirect, parseFdinfo, readDescriptors } from "./fdinfo.js";

describe("fdinfo", () => {
  it("reads back position and flags", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
        fc.nat(0x7fff_ffff),
        fc.constantFrom(
          "",
          "eventfd-count:                0\n",
          "tfd:       5 events: 19\n",
          "lock:\t1: POSIX\n",
        ),
        (pos, flags, tail) => {
          const text = `pos:\t${pos}\nflags:\t0${flags.toString(8)}\nmnt_id:\t15\nino:\t9\n${tail}`;
          assert.deepEqual(parseFdinfo(text), { pos, flags });
        },
      ),
    );
  });

  it("gives a value or a LinuxError for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), fc.boolean(), (text, prefix) => {
        try {
          parseFdinfo(prefix ? `pos:\t0\nflags:\t${text}` : text);
        } catch (error) {
          assert.ok(error instanceof LinuxError, String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("tells O_DIRECT by the machine: 040000 on x64, 0200000 on arm64", () => {
    assert.equal(isDirect(0o140002, "x64"), true);
    assert.equal(isDirect(0o100002, "x64"), false);
    assert.equal(isDirect(0o200000, "x64"), false);
    assert.equal(isDirect(0o200000, "arm64"), true);
    assert.equal(isDirect(0o40000, "arm64"), false);
  });

  it("knows what stands behind a descriptor", () => {
    const kinds: [string, DescriptorKind][] = [
      ["anon_inode:kvm-vm", "kvm-vm"],
      ["anon_inode:kvm-vcpu:0", "kvm-vcpu"],
      ["anon_inode:kvm-vcpu-stats:0", "kvm-vcpu"],
      ["anon_inode:[io_uring]", "io_uring"],
      ["anon_inode:[eventfd]", "eventfd"],
      ["anon_inode:[eventpoll]", "eventpoll"],
      ["anon_inode:[signalfd]", "signalfd"],
      ["anon_inode:[userfaultfd]", "userfaultfd"],
      ["anon_inode:[vfio-device]", "vfio"],
      ["anon_inode:inotify", "anon"],
      ["/dev/vfio/vfio", "vfio"],
      ["/dev/vfio/42", "vfio"],
      ["/dev/iommu", "iommufd"],
      ["/dev/vhost-net", "vhost"],
      ["/dev/vhost-vdpa-0", "vhost"],
      ["/dev/kvm", "kvm"],
      ["/memfd:ram (deleted)", "memfd"],
      ["socket:[123]", "socket"],
      ["pipe:[123]", "pipe"],
      ["/var/lib/vm/disk.qcow2", "file"],
      ["/home/x/dev/vhost-net", "file"],
    ];
    for (const [link, kind] of kinds) assert.equal(descriptorKind(link), kind, link);
  });

  it("reads a descriptor of this process with its flags", () => {
    const fd = openSync("/proc/self/exe", "r");
    try {
      const mine = readDescriptors(process.pid).find((descriptor) => descriptor.fd === fd);
      assert.equal(mine?.link, process.execPath);
      assert.equal(mine?.kind, "file");
      assert.equal(mine?.direct, false);
    } finally {
      closeSync(fd);
    }
  });
});
