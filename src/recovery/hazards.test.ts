import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Descriptor, descriptorKind } from "../linux/procfs/fdinfo.js";
import { hazardsOf } from "./hazards.js";

function descriptor(fd: number, link: string, direct = false): Descriptor {
  return { fd, link, kind: descriptorKind(link), flags: direct ? 0o40000 : 0, direct };
}

describe("hazardsOf", () => {
  it("finds nothing in an ordinary VM", () => {
    const ordinary = [
      "/dev/kvm",
      "anon_inode:kvm-vm",
      "socket:[1]",
      "/var/lib/disk.img",
      "/memfd:ram (deleted)",
    ];
    const found = hazardsOf(
      ordinary.map((link, fd) => descriptor(fd, link)),
      false,
    );
    assert.deepEqual(found, { transient: [], pinned: [], userfaultfds: [] });
  });
  it("names what may still write, until the VM is paused", () => {
    const found = hazardsOf([descriptor(5, "anon_inode:[io_uring]"), descriptor(9, "/dev/sda", true)], true);
    assert.deepEqual(found.transient, [
      "io_uring descriptor 5",
      "O_DIRECT descriptor 9 (/dev/sda)",
      "Linux AIO context",
    ]);
    assert.deepEqual(found.pinned, []);
  });
  for (const link of [
    "/dev/vfio/vfio",
    "/dev/vfio/12",
    "anon_inode:[vfio-device]",
    "/dev/iommu",
    "/dev/vhost-vdpa-0",
    "/dev/infiniband/uverbs0",
    "/dmabuf:",
    "/dev/sev",
  ]) {
    it(`calls ${link} a pin`, () => {
      const { pinned, transient } = hazardsOf([descriptor(3, link)], false);
      assert.equal(pinned.length, 1);
      assert.ok(pinned[0]?.includes(link));
      assert.deepEqual(transient, []);
    });
  }
  it("takes vhost-net for harmless: it writes through page tables", () => {
    assert.deepEqual(hazardsOf([descriptor(3, "/dev/vhost-net")], false).pinned, []);
  });
  it("sees a userfaultfd", () => {
    assert.deepEqual(hazardsOf([descriptor(3, "anon_inode:[userfaultfd]")], false).userfaultfds, [3]);
  });
});
