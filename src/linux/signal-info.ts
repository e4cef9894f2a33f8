/** struct siginfo (include/uapi/asm-generic/siginfo.h), 128 bytes; same layout on x86-64 and arm64. */

import { type Hva, hva } from "./address.js";
import { LinuxError } from "./linux-error.js";
import { signal } from "./signals.js";

/** Bytes of struct siginfo. */
export const SIGNAL_INFO_SIZE = 128;

/** si_code of SIGBUS: a processor error that must be acted on before the thread may go on. */
export const BUS_MCEERR_AR = 4;
/** si_code of SIGBUS: a processor error that was found, but not consumed. */
export const BUS_MCEERR_AO = 5;

/** What a SIGBUS says; all of it is a hint only (KVM on x86 always says 4 KiB). */
export interface BusError {
  /** BUS_MCEERR_AR = 4, BUS_MCEERR_AO = 5, BUS_ADRERR = 2, 0x80 (SI_KERNEL), … */
  readonly code: number;
  readonly address: Hva;
  /** log2 of the lost bytes, as far as the sender knows; 0 if not given. */
  readonly addressLsb: number;
}

/** The signal number in a siginfo. @param info 128 bytes @throws LinuxError HM_SIGNAL_INFO if too short */
export function signalNumber(info: Buffer): number {
  return sized(info).readInt32LE(0);
}

/** @param info 128 bytes of a SIGBUS @throws LinuxError HM_SIGNAL_INFO if it is no SIGBUS */
export function decodeBusError(info: Buffer): BusError {
  const number = signalNumber(info);
  if (number !== signal.SIGBUS) {
    throw new LinuxError("HM_SIGNAL_INFO", "The signal is not SIGBUS", {
      present: String(number),
      expected: "7",
    });
  }
  return {
    code: info.readInt32LE(8),
    address: hva(info.readBigUInt64LE(16)),
    addressLsb: info.readInt16LE(24),
  };
}

/** @param error what to say @returns 128 bytes */
export function encodeBusError(error: BusError): Buffer {
  const info = Buffer.alloc(SIGNAL_INFO_SIZE);
  info.writeInt32LE(signal.SIGBUS, 0);
  info.writeInt32LE(error.code, 8);
  info.writeBigUInt64LE(error.address, 16);
  info.writeInt16LE(error.addressLsb, 24);
  return info;
}

function sized(info: Buffer): Buffer {
  if (info.length >= SIGNAL_INFO_SIZE) return info;
  throw new LinuxError("HM_SIGNAL_INFO", "A siginfo is too short", {
    present: `${info.length} bytes`,
    expected: `${SIGNAL_INFO_SIZE} bytes`,
  });
}
