import { type Hva, hex } from "../linux/address.js";
import type { GuardContext } from "./guard-context.js";

/** @returns the guest-physical address of a byte of RAM, as events write it; null if QEMU has not told */
export function guestAddress(guard: Pick<GuardContext, "vm">, address: Hva): string | null {
  const guest = guard.vm?.gpaOf(address) ?? null;
  return guest === null ? null : hex(guest);
}
