import type { Mapping } from "../linux/procfs/maps.js";

/** Whether it may be a spare region, or a part of a replacement out of one. */
export function isAnonymous({ path, inode, shared }: Mapping): boolean {
  return path === "" && inode === 0n && !shared;
}
