/**
 * The name of an overlay: the memfd that stands in a large page's place. /proc/PID/maps shows it, so that a guard which
 * knows nothing can tell from the process alone what was replaced, where and with what.
 *
 *     hugemend:HVA:OFFSET:SIZE:DEVICE:INODE      all hexadecimal but the inode; DEVICE as in maps, major.minor
 */

import { type Hva, hva } from "../linux/address.js";
import type { LargePage } from "./large-page.js";

/** What an overlay's name says. */
export interface OverlayIdentity {
  /** Where the large page lay. */
  readonly base: Hva;
  /** Its offset in the backing file. */
  readonly offset: bigint;
  /** Bytes of the large page. */
  readonly size: number;
  readonly device: string;
  readonly inode: bigint;
}

/** @returns a memfd name of at most 249 bytes (memfd_create(2)) */
export function overlayName(page: LargePage): string {
  const { base, offset, size, device, inode } = page;
  return `hugemend:${base.toString(16)}:${offset.toString(16)}:${size.toString(16)}:${device.replace(":", ".")}:${inode}`;
}

const pattern =
  /^\/memfd:hugemend:([0-9a-f]{1,16}):([0-9a-f]{1,16}):([0-9a-f]{1,9}):([0-9a-f]+\.[0-9a-f]+):([0-9]{1,20})(?: \(deleted\))?$/;

/** @param path as in /proc/PID/maps @returns undefined if it is no overlay */
export function parseOverlayPath(path: string): OverlayIdentity | undefined {
  if (!path.startsWith("/memfd:hugemend:")) return undefined;
  const [, base, offset, size, device, inode] = pattern.exec(path) ?? [];
  if (base === undefined || offset === undefined || size === undefined) return undefined;
  if (device === undefined || inode === undefined) return undefined;
  return {
    base: hva(BigInt(`0x${base}`)),
    offset: BigInt(`0x${offset}`),
    size: Number.parseInt(size, 16),
    device: device.replace(".", ":"),
    inode: BigInt(inode),
  };
}
