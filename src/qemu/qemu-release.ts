/** What QEMU's version says about how it takes lost memory. Pure. */

/** The part of a version that counts. */
export interface QemuRelease {
  readonly major: number;
  readonly minor: number;
}

/**
 * How QEMU can learn of a lost page. `signal`: its own SIGBUS, after which it keeps the page on a list. `monitor`: an order to inject
 * the machine check, which leaves no trace but in the guest.
 */
export type LossRoute = "signal" | "monitor";

/** @returns whether a release is older than `major`.`minor` */
export function olderThan(release: QemuRelease, major: number, minor: number): boolean {
  return release.major < major || (release.major === major && release.minor < minor);
}

/**
 * Before 10.0 a reset remaps each 4 KiB on that list, which hugetlbfs refuses, and ends QEMU: "Could not remap addr" (QEMU 7.2:
 * accel/kvm/kvm-all.c kvm_unpoison_all(), softmmu/physmem.c qemu_ram_remap(); tried).
 */
export function exitsAtReset(release: QemuRelease): boolean {
  return olderThan(release, 10, 0);
}

/**
 * The monitor where it makes things better and nothing worse: QEMU 5.2 is the first that tells by an event what became of the order
 * (qapi/run-state.json, MEMORY_FAILURE), and 9.0 the first that refuses to migrate by that list (migration.c, is_busy or blocked by
 * kvm_hwpoisoned_mem()): kept from the list it would migrate, and end at the lost page.
 */
export function lossRoute(release: QemuRelease): LossRoute {
  return olderThan(release, 5, 2) || !olderThan(release, 9, 0) ? "signal" : "monitor";
}

const MACHINE_TYPE = /pc-(?:q35|i440fx)-(\d{1,2})\.(\d{1,2})(?![\d.])/g;

/**
 * @param text any text, for example a QEMU program's own bytes as latin1
 * @returns the newest machine type it names: as old as the release that brought it; undefined if it names none (a distribution may
 *   give them names of its own)
 */
export function newestMachineType(text: string): QemuRelease | undefined {
  let newest: QemuRelease | undefined;
  for (const [, major, minor] of text.matchAll(MACHINE_TYPE)) {
    const found = { major: Number(major), minor: Number(minor) };
    if (newest === undefined || olderThan(newest, found.major, found.minor)) newest = found;
  }
  return newest;
}
