import { QemuError } from "./qemu-error.js";

/** A second pause was asked for before the first one ended. */
export function busy(): QemuError {
  return new QemuError("HM_QUIESCE_BUSY", "The VM is being paused already", {
    remedy: "Wait for Quiescer.idle() or resume the first pause",
  });
}

/** `stop` was not answered in time. */
export function stopTimedOut(cause: unknown, limitMs: number): QemuError {
  return new QemuError("HM_QUIESCE_TIMEOUT", "QEMU did not pause the VM in time", {
    present: `no answer for ${limitMs} ms`,
    remedy: "A vCPU or a disk flush keeps it busy; the pause is undone as soon as QEMU answers",
    cause,
  });
}

/** QEMU is there but does not resume the VM. */
export function stuck(limitMs: number): QemuError {
  return new QemuError("HM_QUIESCE_STUCK", "QEMU does not let the VM run on", {
    present: `not resumed for ${limitMs} ms`,
    remedy: 'It is tried further; "cont" in any of QEMU\'s monitors helps as well',
  });
}

/** The monitor went away while we held the VM. */
export function connectionLost(cause: QemuError): QemuError {
  return new QemuError("HM_QUIESCE_LOST", "The connection to QEMU was lost while the VM was paused", {
    remedy:
      'Unless QEMU has ended, the VM may stand still: enter "cont" in any of its monitors, or start a new guard',
    cause,
  });
}
