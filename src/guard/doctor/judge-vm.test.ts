import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Descriptor, DescriptorKind } from "../../linux/procfs/fdinfo.js";
import type { HugepagePool } from "../../linux/procfs/hugepages.js";
import type { ProcessStatus } from "../../linux/procfs/status.js";
import { hazardsOf } from "../../recovery/hazards.js";
import { diagnose, type FindingCode, type Severity } from "./finding.js";
import { judgeVm } from "./judge-vm.js";
import type { LargePageRegion, VmFacts, VmInsides } from "./vm-facts.js";

const LARGE = 2 * 1024 * 1024;
const POOLS: HugepagePool[] = [
  { pageSize: LARGE, node: undefined, total: 300, free: 9, reserved: 0, surplus: 0 },
];

function descriptor(link: string, kind: DescriptorKind, direct = false): Descriptor {
  return { fd: 9, link, kind, flags: direct ? 0o40002 : 2, direct };
}

const VCPU = descriptor("anon_inode:kvm-vcpu:0", "kvm-vcpu");
const RAM: LargePageRegion = {
  start: 0x7f00_0000_0000n,
  size: 512 * LARGE,
  pageSize: LARGE,
  shared: true,
  path: "/dev/hugepages/vm1",
  watched: false,
};
const STATUS: ProcessStatus = {
  name: "qemu-system-x86",
  state: "S",
  tgid: 4711,
  pid: 4711,
  ppid: 1,
  tracerPid: 0,
  uid: { real: 0, effective: 0, saved: 0, fs: 0 },
  threads: 5,
  sigBlk: 0n,
  sigIgn: 0n,
  sigCgt: 0n,
  capEff: 0n,
  nsPid: [4711],
  seccomp: 0,
  lockedBytes: 0,
};
const INSIDES: VmInsides = {
  executable: "/usr/bin/qemu-system-x86_64",
  qemu: true,
  release: { major: 10, minor: 0 },
  regions: [RAM],
  descriptors: [VCPU, descriptor("/var/lib/disk.qcow2", "file")],
  hazards: { transient: [], pinned: [], userfaultfds: [] },
  mappings: 400,
  mappingsLimit: 65_530,
  locked: false,
  mappers: { mappers: [], unreadable: [] },
  samePidNamespace: true,
};
const GOOD: VmFacts = { pid: 4711, status: STATUS, tracer: undefined, insides: INSIDES };

interface Row {
  readonly name: string;
  readonly inside?: Partial<VmInsides>;
  readonly around?: Partial<VmFacts>;
  readonly pools?: readonly HugepagePool[];
  /** Every finding that is not ok, in order. */
  readonly flaws: readonly (readonly [FindingCode, Severity, RegExp])[];
}

/** As collected: the hazards follow from the descriptors. */
const io = (...descriptors: Descriptor[]) => ({
  descriptors: [VCPU, ...descriptors],
  hazards: hazardsOf(descriptors, false),
});
const mapper = { pid: 88, comm: "virtiofsd", file: { device: "00:0f", inode: 7n }, shared: true };

const TABLE: readonly Row[] = [
  {
    name: "not QEMU",
    inside: { qemu: false, executable: "/bin/sleep" },
    flaws: [["HM_DOCTOR_QEMU", "blocker", /\/bin\/sleep/]],
  },
  {
    name: "QEMU of Debian 12",
    inside: { release: { major: 7, minor: 2 } },
    flaws: [["HM_DOCTOR_RESET", "note", /QEMU 7\.2/]],
  },
  {
    name: "QEMU that blocks migration by the list of lost pages",
    inside: { release: { major: 9, minor: 2 } },
    flaws: [["HM_DOCTOR_RESET", "warning", /QEMU 9\.2/]],
  },
  { name: "QEMU of an unknown release", inside: { release: undefined }, flaws: [] },
  { name: "no KVM", inside: { descriptors: [] }, flaws: [["HM_DOCTOR_KVM", "warning", /no KVM/]] },
  {
    name: "traced by gdb",
    around: { tracer: { pid: 99, name: "gdb", command: ["gdb", "-p", "4711"] } },
    flaws: [["HM_DOCTOR_TRACED", "blocker", /99 \(gdb\)/]],
  },
  {
    name: "guarded already",
    around: {
      tracer: {
        pid: 99,
        name: "node",
        command: ["node", "/opt/x/dist/src/cli/main.js", "guard", "--pid", "4711"],
      },
    },
    flaws: [["HM_DOCTOR_TRACED", "note", /guarded already/]],
  },
  {
    name: "guarded already by the installed program",
    around: {
      tracer: { pid: 99, name: "hugemend", command: ["/usr/bin/node", "/usr/bin/hugemend", "guard"] },
    },
    flaws: [["HM_DOCTOR_TRACED", "note", /99/]],
  },
  {
    name: "traced by another program with such a word",
    around: { tracer: { pid: 99, name: "guard", command: ["guard", "hugemend"] } },
    flaws: [["HM_DOCTOR_TRACED", "blocker", /guard/]],
  },
  {
    name: "no large pages",
    inside: { regions: [] },
    flaws: [["HM_DOCTOR_RAM", "blocker", /no large pages/]],
  },
  {
    name: "all private",
    inside: { regions: [{ ...RAM, shared: false }] },
    flaws: [
      ["HM_DOCTOR_PRIVATE_RAM", "warning", /privately/],
      ["HM_DOCTOR_RAM", "blocker", /shared/],
    ],
  },
  {
    name: "one of two private",
    inside: { regions: [RAM, { ...RAM, start: 0x7f80_0000_0000n, shared: false }] },
    flaws: [["HM_DOCTOR_PRIVATE_RAM", "warning", /0x7f8000000000/]],
  },
  {
    name: "1 GiB pages",
    inside: { regions: [{ ...RAM, pageSize: 2 ** 30 }] },
    flaws: [["HM_DOCTOR_PAGE_SIZE", "warning", /1 GiB/]],
  },
  {
    name: "the pool has no page left",
    pools: [{ pageSize: LARGE, node: undefined, total: 0, free: 0, reserved: 0, surplus: 0 }],
    flaws: [["HM_DOCTOR_POOL", "warning", /2 MiB/]],
  },
  {
    name: "O_DIRECT",
    inside: io(descriptor("/dev/sdb", "file", true)),
    flaws: [["HM_DOCTOR_DIRECT_IO", "warning", /O_DIRECT.*\/dev\/sdb/]],
  },
  {
    name: "aio",
    inside: { hazards: { transient: ["Linux AIO context"], pinned: [], userfaultfds: [] } },
    flaws: [["HM_DOCTOR_DIRECT_IO", "warning", /: Linux AIO context\.$/]],
  },
  {
    name: "io_uring",
    inside: io(descriptor("anon_inode:[io_uring]", "io_uring")),
    flaws: [["HM_DOCTOR_DIRECT_IO", "warning", /io_uring/]],
  },
  {
    name: "VFIO",
    inside: io(descriptor("/dev/vfio/12", "vfio")),
    flaws: [["HM_DOCTOR_DMA", "blocker", /\/dev\/vfio\/12/]],
  },
  {
    name: "iommufd",
    inside: io(descriptor("/dev/iommu", "iommufd")),
    flaws: [["HM_DOCTOR_DMA", "blocker", /iommu/]],
  },
  {
    name: "vdpa",
    inside: io(descriptor("/dev/vhost-vdpa-0", "vhost")),
    flaws: [["HM_DOCTOR_DMA", "blocker", /vdpa/]],
  },
  {
    name: "vhost in the kernel",
    inside: io(descriptor("/dev/vhost-net", "vhost")),
    flaws: [["HM_DOCTOR_VHOST", "note", /vhost-net/]],
  },
  {
    name: "another mapper",
    inside: { mappers: { mappers: [mapper, mapper], unreadable: [1] } },
    flaws: [["HM_DOCTOR_MAPPERS", "blocker", /: 88 \(virtiofsd\)\.$/]],
  },
  {
    name: "processes that may not be read",
    inside: { mappers: { mappers: [], unreadable: [1, 2] } },
    flaws: [["HM_DOCTOR_MAPPERS", "note", /: 1, 2\.$/]],
  },
  { name: "locked memory", inside: { locked: true }, flaws: [["HM_DOCTOR_LOCKED", "note", /locked/]] },
  {
    name: "postcopy",
    inside: { regions: [{ ...RAM, watched: true }] },
    flaws: [["HM_DOCTOR_USERFAULTFD_IN_USE", "warning", /userfaultfd/]],
  },
  {
    name: "few mappings left",
    inside: { mappings: 65_500 },
    flaws: [["HM_DOCTOR_MAP_COUNT", "warning", /65500 mappings of at most 65530/]],
  },
  {
    name: "-sandbox on",
    around: { status: { ...STATUS, seccomp: 2 } },
    flaws: [["HM_DOCTOR_SECCOMP", "note", /filter/]],
  },
  {
    name: "strict seccomp",
    around: { status: { ...STATUS, seccomp: 1 } },
    flaws: [["HM_DOCTOR_SECCOMP", "blocker", /strict/]],
  },
  {
    name: "in a container",
    inside: { samePidNamespace: false },
    flaws: [["HM_DOCTOR_VM_NAMESPACE", "note", /container/]],
  },
  { name: "namespace unknown", inside: { samePidNamespace: undefined }, flaws: [] },
];

describe("findings about a virtual machine", () => {
  it("are all ok for one without a flaw", () => {
    const findings = judgeVm(GOOD, POOLS);
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== "ok"),
      [],
    );
    assert.match(
      findings.find(({ code }) => code === "HM_DOCTOR_RAM")?.message ?? "",
      /^1 GiB at 0x7f0000000000/,
    );
  });

  for (const { name, inside, around, pools, flaws } of TABLE) {
    it(`${name}: ${flaws.map(([, severity]) => severity).join(", ") || "ok"}`, () => {
      const facts = { ...GOOD, insides: { ...INSIDES, ...inside }, ...around };
      const found = judgeVm(facts, pools ?? POOLS).filter(({ severity }) => severity !== "ok");
      assert.deepEqual(
        found.map(({ code, severity }) => [code, severity]),
        flaws.map(([code, severity]) => [code, severity]),
      );
      found.forEach((finding, index) => {
        assert.match(finding.message, flaws[index]?.[2] ?? /$^/);
        assert.ok(finding.cost && finding.fix, "each flaw names its cost and its remedy");
      });
      assert.equal(diagnose(found).ok, !flaws.some(([, severity]) => severity === "blocker"));
    });
  }

  it("says no more than what it may see", () => {
    const findings = judgeVm({ ...GOOD, insides: undefined }, POOLS);
    assert.deepEqual(
      findings.map(({ code, severity }) => [code, severity]),
      [
        ["HM_DOCTOR_TRACED", "ok"],
        ["HM_DOCTOR_UNREADABLE", "blocker"],
      ],
    );
  });
});
