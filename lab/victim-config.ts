import { debian12Qemu } from "./debian-12.js";
import { gigHost, type HostKind, oldKernelHost, oldQemuHost, usualHost } from "./lab-host.js";

/** How the victim VM (L2) is set up. */
export interface VictimConfig {
  /** Names its snapshot. */
  readonly id: string;
  /** The lab host it runs on. */
  readonly host: HostKind;
  /** Debian 12's QEMU 7.2 in place of Debian 13's; its host must be one with `programs: "debian-12"`. */
  readonly qemu?: "debian-12";
  readonly vcpus: 1 | 2 | 4;
  /** Machine type; q35 unless said otherwise. */
  readonly machine?: "q35" | "pc";
  /** CPU model; `host` (an AMD EPYC) unless said otherwise. */
  readonly cpu?: string;
  /** All of the command line that makes the RAM, in place of what the fields below make. */
  readonly memory?: string;
  /** More of QEMU's command line. */
  readonly extra?: string;
  /** For L1's shell, before QEMU is started. */
  readonly prepare?: string;
  /** More arguments for the guest's kernel. */
  readonly guestArguments?: string;
  /** `hugetlbfs`: memory-backend-file in /dev/hugepages; `memfd`: memory-backend-memfd,hugetlb=on. */
  readonly backing: "hugetlbfs" | "memfd";
  /** `share=on`; without it QEMU maps the file privately and nothing can be salvaged from it. */
  readonly shared: boolean;
  /** QEMU as user 65534 with `-sandbox on` and all four denials. */
  readonly confined: boolean;
}

/** The usual VM: one vCPU, hugetlbfs, shared, QEMU run by root. */
export const usualVictim: VictimConfig = {
  id: "usual",
  host: usualHost,
  vcpus: 1,
  backing: "hugetlbfs",
  shared: true,
  confined: false,
};

/** One page of 1 GiB is all its RAM: kernel, programs and all. */
export const gigVictim: VictimConfig = {
  ...usualVictim,
  id: "gig",
  host: gigHost,
  memory:
    "-m 1G -object memory-backend-memfd,id=ram,size=1G,hugetlb=on,hugetlbsize=1G,share=on,prealloc=on -machine memory-backend=ram",
};

/**
 * The usual one under Debian 12's QEMU 7.2. A guest without machine checks: on an AMD host this QEMU tells of an untouched error in a way
 * that makes every guest panic, guarded or not (tried with `-cpu host` and with Intel's models; MCG_CAP has no SER_P there).
 */
export const oldQemuVictim: VictimConfig = {
  ...usualVictim,
  id: "old-qemu-without-mce",
  host: oldQemuHost,
  qemu: "debian-12",
  cpu: "host,-mce,-mca",
};

/** The usual one on a host with Debian 12's kernel 6.1. */
export const oldKernelVictim: VictimConfig = { ...usualVictim, id: "old-kernel", host: oldKernelHost };

/** The victim's RAM in bytes. It lies wholly below 4 GiB, so an offset in the RAM block is the guest-physical address. */
export const victimRam: number = 256 * 2 ** 20;
/** How much of it the checker fills. */
export const filledMib = 64;
/** The same in pages of 4 KiB. */
export const filledPages: number = filledMib * 256;

/** Where things are inside the lab host. */
export const victimPaths = {
  pid: "/run/victim.pid",
  console: "/run/victim-console.log",
  qemuLog: "/run/victim-qemu.log",
  checker: "/run/checker.sock",
  /** The QMP socket that is left to Hugemend. */
  guardQmp: "/run/qmp.sock",
  /** The harness's own. */
  harnessQmp: "/run/qmp-harness.sock",
} as const;

/** For `prepare`: loads modules that the image has in store, with what they need (image.ts). */
export function loadModules(...names: string[]): string {
  const orders = names.map((name) => `/lab/modules/${name}.order`).join(" ");
  return `for file in $(cat ${orders}); do [ -d /sys/module/$(echo "\${file%.ko}" | tr - _) ] || insmod /lab/modules/$file || exit 1; done`;
}

const kernelArguments =
  "console=hvc0 8250.nr_uarts=0 loglevel=4 nokaslr mitigations=off tsc=reliable no_timer_check log_buf_len=2M audit=0 panic=0";

/** The stock QEMU command line of the victim, for L1's shell. `exec`, so that the shell's pid is QEMU's. @param incoming migration file to start from */
export function victimCommand(config: VictimConfig, incoming?: string): string {
  const size = victimRam / 2 ** 20;
  const program = config.qemu === "debian-12" ? debian12Qemu : "qemu-system-x86_64";
  const { machine = "q35", cpu = "host", guestArguments = "" } = config;
  const backend =
    config.backing === "memfd"
      ? `memory-backend-memfd,id=ram,size=${size}M,hugetlb=on,hugetlbsize=2M,prealloc=on`
      : `memory-backend-file,id=ram,size=${size}M,mem-path=/dev/hugepages,share=${config.shared ? "on" : "off"},prealloc=on`;
  // Not QEMU's own -run-with user=: the sandbox comes first and kills it for changing its user.
  const user =
    "chmod 666 /dev/kvm; chmod 1777 /dev/hugepages /run; exec /usr/sbin/chroot --userspec=65534:65534 --skip-chdir / ";
  const sandbox = "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
  return [
    ...(config.prepare === undefined ? [] : [`${config.prepare} &&`]),
    `${config.confined ? user : "exec "}${program} -nodefaults -no-user-config -display none`,
    `-machine ${machine} -accel kvm -cpu ${cpu} -smp ${config.vcpus}`,
    config.memory ?? `-m ${size}M -object ${backend} -machine memory-backend=ram`,
    ...(config.extra === undefined ? [] : [config.extra]),
    `-kernel /lab/vmlinuz -initrd /lab/victim.cpio -append "${`${kernelArguments} ${guestArguments}`.trim()}"`,
    "-device pvpanic-pci -device virtio-serial-pci",
    `-chardev file,id=console,path=${victimPaths.console} -device virtconsole,chardev=console`,
    `-chardev socket,id=checker,path=${victimPaths.checker},server=on,wait=off -device virtserialport,chardev=checker,name=checker`,
    `-qmp unix:${victimPaths.guardQmp},server=on,wait=off -qmp unix:${victimPaths.harnessQmp},server=on,wait=off`,
    `-pidfile ${victimPaths.pid}`,
    ...(config.confined ? [sandbox] : []),
    ...(incoming === undefined ? [] : [`-incoming file:${incoming}`]),
    `> ${victimPaths.qemuLog} 2>&1`,
  ].join(" ");
}
