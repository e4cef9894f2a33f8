import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRelease } from "../../linux/procfs/kernel-version.js";
import { diagnose, type FindingCode, type Severity } from "./finding.js";
import type { HostFacts } from "./host-facts.js";
import { judgeHost, judgePlatform, unpromised } from "./judge-host.js";

const LARGE = 2 * 1024 * 1024;
const POOL = { pageSize: LARGE, node: undefined, total: 300, free: 40, reserved: 0, surplus: 0 };

/** A machine without a flaw: every finding about it is ok. */
const GOOD: HostFacts = {
  release: parseRelease("6.12.107-amd64"),
  memoryFailure: { enabled: true, source: "/proc/config.gz" },
  recoverySysctl: 1,
  corruptedBytes: 0,
  availableBytes: 2 ** 33,
  pools: [POOL],
  hugePages: "madvise",
  canPtrace: true,
  canOpenMapFiles: true,
  yama: 0,
  denyPtrace: undefined,
  initialPidNamespace: true,
  initialUserNamespace: true,
  userfaultfd: { available: true, poison: true, reason: undefined },
  tracepoint: "/sys/kernel/tracing/events/ras/memory_failure_event",
  tracefsMounted: true,
  kernelLog: true,
};

interface Row {
  readonly name: string;
  readonly change: Partial<HostFacts>;
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly says: RegExp;
}

const TABLE: readonly Row[] = [
  {
    name: "Linux 5.10",
    change: { release: parseRelease("5.10.0-32-amd64") },
    code: "HM_DOCTOR_KERNEL",
    severity: "blocker",
    says: /give zeros/,
  },
  {
    name: "Linux 6.1",
    change: { release: parseRelease("6.1.0-40-amd64") },
    code: "HM_DOCTOR_KERNEL",
    severity: "blocker",
    says: /every byte/,
  },
  {
    name: "Linux 6.7",
    change: { release: parseRelease("6.7.4") },
    code: "HM_DOCTOR_KERNEL",
    severity: "blocker",
    says: /wrong flag/,
  },
  {
    name: "no memory failure handling",
    change: { memoryFailure: { enabled: false, source: "/boot/config" } },
    code: "HM_DOCTOR_MEMORY_FAILURE",
    severity: "blocker",
    says: /without CONFIG_MEMORY_FAILURE \(\/boot\/config\)/,
  },
  {
    name: "memory failure handling unknown",
    change: { memoryFailure: { enabled: undefined, source: "no file" } },
    code: "HM_DOCTOR_MEMORY_FAILURE",
    severity: "warning",
    says: /no file/,
  },
  {
    name: "the kernel panics",
    change: { recoverySysctl: 0 },
    code: "HM_DOCTOR_RECOVERY_SYSCTL",
    severity: "blocker",
    says: /is 0/,
  },
  {
    name: "earlier errors",
    change: { corruptedBytes: 8192 },
    code: "HM_DOCTOR_CORRUPTED",
    severity: "note",
    says: /8 KiB/,
  },
  {
    name: "no pool",
    change: { pools: [{ ...POOL, total: 0, free: 0 }] },
    code: "HM_DOCTOR_POOL",
    severity: "note",
    says: /No large pages/,
  },
  {
    name: "no free page",
    change: { pools: [{ ...POOL, free: 0 }] },
    code: "HM_DOCTOR_POOL",
    severity: "warning",
    says: /no spare page/,
  },
  {
    name: "all free pages promised",
    change: { pools: [{ ...POOL, free: 7, reserved: 7 }] },
    code: "HM_DOCTOR_POOL",
    severity: "warning",
    says: /7 free, 7 of these reserved/,
  },
  {
    name: "no memory for a replacement",
    change: { availableBytes: LARGE + 2 ** 25 },
    code: "HM_DOCTOR_MEMORY",
    severity: "warning",
    says: /34 MiB/,
  },
  {
    name: "no transparent huge pages wanted",
    change: { hugePages: "never" },
    code: "HM_DOCTOR_THP",
    severity: "note",
    says: /enabled is never: .* keeps pages of 4 KiB/,
  },
  {
    name: "no transparent huge pages known",
    change: { hugePages: undefined },
    code: "HM_DOCTOR_THP",
    severity: "note",
    says: /has no transparent huge pages/,
  },
  {
    name: "yama forbids all",
    change: { yama: 3 },
    code: "HM_DOCTOR_PTRACE",
    severity: "blocker",
    says: /ptrace_scope is 3/,
  },
  {
    name: "SELinux forbids all",
    change: { denyPtrace: true },
    code: "HM_DOCTOR_PTRACE",
    severity: "blocker",
    says: /deny_ptrace/,
  },
  {
    name: "not root",
    change: { canPtrace: false },
    code: "HM_DOCTOR_PTRACE",
    severity: "blocker",
    says: /CAP_SYS_PTRACE/,
  },
  {
    name: "no capability for mapped files",
    change: { canOpenMapFiles: false },
    code: "HM_DOCTOR_MAP_FILES",
    severity: "blocker",
    says: /CAP_CHECKPOINT_RESTORE/,
  },
  {
    name: "a user namespace",
    change: { initialUserNamespace: false },
    code: "HM_DOCTOR_MAP_FILES",
    severity: "blocker",
    says: /user namespace/,
  },
  {
    name: "a container",
    change: { initialPidNamespace: false },
    code: "HM_DOCTOR_NAMESPACE",
    severity: "warning",
    says: /container/,
  },
  {
    name: "no userfaultfd",
    change: { userfaultfd: { available: false, poison: false, reason: "ENOSYS" } },
    code: "HM_DOCTOR_USERFAULTFD",
    severity: "blocker",
    says: /ENOSYS/,
  },
  {
    name: "no poison markers",
    change: { userfaultfd: { available: true, poison: false, reason: "EINVAL" } },
    code: "HM_DOCTOR_USERFAULTFD",
    severity: "blocker",
    says: /no poison markers/,
  },
  {
    name: "no tracefs, but the log",
    change: { tracepoint: undefined, tracefsMounted: false },
    code: "HM_DOCTOR_TRACEPOINT",
    severity: "note",
    says: /not mounted/,
  },
  {
    name: "no tracefs and no log",
    change: { tracepoint: undefined, kernelLog: false },
    code: "HM_DOCTOR_TRACEPOINT",
    severity: "warning",
    says: /no tracepoint/,
  },
];

describe("findings about the host", () => {
  it("are all ok on a machine without a flaw", () => {
    const findings = judgeHost(GOOD);
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== "ok"),
      [],
    );
    assert.equal(diagnose(findings).ok, true);
  });

  for (const hugePages of ["always", "madvise"] as const) {
    it(`a filled replacement becomes large where the machine says ${hugePages}`, () => {
      const finding = judgeHost({ ...GOOD, hugePages }).find(({ code }) => code === "HM_DOCTOR_THP");
      assert.equal(finding?.severity, "ok");
      assert.match(finding.message, new RegExp(`enabled is ${hugePages}: .* gets pages of 2 MiB again`));
    });
  }

  for (const { name, change, code, severity, says } of TABLE) {
    it(`${name}: ${severity}`, () => {
      const flaws = judgeHost({ ...GOOD, ...change }).filter((finding) => finding.severity !== "ok");
      assert.equal(flaws.length, 1, JSON.stringify(flaws));
      const [flaw] = flaws;
      assert.equal(flaw?.code, code);
      assert.equal(flaw?.severity, severity);
      assert.match(flaw?.message ?? "", says);
      assert.ok(flaw?.cost && flaw.fix, "each flaw names its cost and its remedy");
      assert.equal(diagnose(flaws).ok, severity !== "blocker");
    });
  }

  it("say what the guard goes by where the kernel announces nothing", () => {
    for (const [kernelLog, says] of [
      [true, /kernel log instead/],
      [false, /only when .* touches/],
    ] as const) {
      const found = judgeHost({ ...GOOD, tracepoint: undefined, kernelLog });
      assert.match(found.find(({ code }) => code === "HM_DOCTOR_TRACEPOINT")?.cost ?? "", says);
    }
  });

  it("accepts yama below 3 and an SELinux that allows tracing", () => {
    for (const yama of [undefined, 0, 1, 2]) {
      assert.ok(judgeHost({ ...GOOD, yama, denyPtrace: false }).every(({ severity }) => severity === "ok"));
    }
  });

  it("leaves the sysctl and HardwareCorrupted out where the kernel has neither", () => {
    const codes = judgeHost({ ...GOOD, recoverySysctl: undefined, corruptedBytes: undefined }).map(
      ({ code }) => code,
    );
    assert.ok(!codes.includes("HM_DOCTOR_RECOVERY_SYSCTL") && !codes.includes("HM_DOCTOR_CORRUPTED"));
  });

  it("judges every pool that has pages", () => {
    const pools = [
      POOL,
      { ...POOL, pageSize: 2 ** 30, total: 4, free: 0 },
      { ...POOL, pageSize: 65_536, total: 0, free: 0 },
    ];
    const found = judgeHost({ ...GOOD, pools }).filter(({ code }) => code === "HM_DOCTOR_POOL");
    assert.deepEqual(
      found.map(({ severity }) => severity),
      ["ok", "warning"],
    );
    assert.match(found[1]?.message ?? "", /1 GiB/);
    assert.match(found[1]?.fix ?? "", /hugepages-1048576kB/);
  });

  it("counts free pages that nobody has been promised", () => {
    assert.equal(unpromised({ free: 5, reserved: 2 }), 3);
    assert.equal(unpromised({ free: 2, reserved: 5 }), 0);
  });
});

describe("the platform", () => {
  it("must be Linux on x86-64", () => {
    assert.equal(judgePlatform({ os: "linux", arch: "x64" }).severity, "ok");
    assert.match(judgePlatform({ os: "linux", arch: "arm64" }).message, /not yet supported/);
    for (const platform of [
      { os: "linux", arch: "arm64" },
      { os: "linux", arch: "riscv64" },
      { os: "darwin", arch: "x64" },
    ]) {
      assert.equal(judgePlatform(platform).severity, "blocker", platform.arch);
    }
  });
});
