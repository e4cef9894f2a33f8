/**
 * Branded address types. An address of one kind can never be passed where another kind is expected.
 *
 * All are `bigint`: a JavaScript number loses precision above 2^53, and guest physical addresses as well as
 * user-space addresses reach 2^57 on x86-64 with five-level page tables (Documentation/arch/x86/x86_64/5level-paging.rst).
 */

import { LinuxError } from "./linux-error.js";

declare const brand: unique symbol;

/** Host virtual address in some process, in bytes. */
export type Hva = bigint & { readonly [brand]: "hva" };
/** Guest physical address, in bytes. */
export type Gpa = bigint & { readonly [brand]: "gpa" };
/** Physical page frame number of the host, in units of the 4 KiB base page. */
export type Pfn = bigint & { readonly [brand]: "pfn" };

const LIMIT = 1n << 64n;

function checked(value: bigint, kind: string): bigint {
  if (value < 0n || value >= LIMIT) {
    throw new LinuxError("HM_ADDRESS_RANGE", `The ${kind} does not fit 64 bits`, {
      present: value.toString(),
      expected: "0 to 2^64-1",
    });
  }
  return value;
}

/** @param value bytes, 0 to 2^64-1 @throws LinuxError HM_ADDRESS_RANGE */
export function hva(value: bigint | number): Hva {
  // SAFETY: the range was checked; the brand carries no run-time data.
  return checked(BigInt(value), "host virtual address") as Hva;
}

/** @param value bytes, 0 to 2^64-1 @throws LinuxError HM_ADDRESS_RANGE */
export function gpa(value: bigint | number): Gpa {
  // SAFETY: the range was checked; the brand carries no run-time data.
  return checked(BigInt(value), "guest physical address") as Gpa;
}

/** @param value page frame number, 0 to 2^64-1 @throws LinuxError HM_ADDRESS_RANGE */
export function pfn(value: bigint | number): Pfn {
  // SAFETY: the range was checked; the brand carries no run-time data.
  return checked(BigInt(value), "page frame number") as Pfn;
}

/** The way addresses are written in events, ledgers and messages: `0x7f12a0000000`. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** @param value any address @param size a power of two in bytes @returns the address rounded down to `size` */
export function alignDown<T extends bigint>(value: T, size: number): T {
  // SAFETY: rounding down keeps the value in range and of its kind.
  return (value & ~(BigInt(size) - 1n)) as T;
}

/**
 * @param value any address
 * @param size a power of two, in bytes
 * @returns the smallest multiple of `size` that is not below the address
 */
export function alignUp(value: bigint, size: number): bigint {
  return (value + BigInt(size) - 1n) & ~(BigInt(size) - 1n);
}
