import { type Hva, hva } from "../linux/address.js";
import { canReadProcess } from "../linux/process-memory.js";
import { SMALL_PAGE } from "./large-page.js";

const PIECE = 65536;

/**
 * The small pages of an overlay that raise SIGBUS now, whoever has marked them: found by reading through the kernel, which touches
 * none of them.
 *
 * @param base first byte of the overlay
 * @param size its bytes
 * @returns their byte offsets in it, ascending
 */
export function lostNow(pid: number, base: Hva, size: number): number[] {
  const lost: number[] = [];
  for (let piece = 0; piece < size; piece += PIECE) {
    if (canReadProcess(pid, hva(base + BigInt(piece)), PIECE)) continue;
    for (let page = piece; page < piece + PIECE; page += SMALL_PAGE)
      if (!canReadProcess(pid, hva(base + BigInt(page)), SMALL_PAGE)) lost.push(page);
  }
  return lost;
}
