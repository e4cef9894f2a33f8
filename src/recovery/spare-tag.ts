/**
 * The tag of a spare region: one page of a memfd, mapped right before the region, that says what the region is for. Anonymous memory has no
 * name in /proc/PID/maps (few kernels have CONFIG_ANON_VMA_NAME), but a guard that knows nothing must still find from the process alone
 * what was replaced, where and with what. Its content is the VM's word only: whoever uses it checks it.
 */

import { z } from "zod";
import { hex, hva } from "../linux/address.js";
import { tryReadProcess } from "../linux/process-memory.js";
import type { Mapping } from "../linux/procfs/maps.js";
import type { OverlayIdentity } from "./overlay-name.js";

/** Name of the memfd. */
export const TAG_NAME = "hugemend-spare";
/** Bytes of the mapping that shows it. */
export const TAG_SIZE = 4096;
const TEXT_LIMIT = 512;

/** What a tag says. */
export interface SpareTag {
  /** Bytes of the region. */
  readonly size: number;
  /** The VM's own descriptor of the userfaultfd that watches the region; null before there is one, and when the region is filled. */
  readonly descriptor: number | null;
  /** The large page that the region stands for, or is about to; null while it waits. */
  readonly page: OverlayIdentity | null;
}

const bigText = z.string().regex(/^0x[0-9a-f]{1,16}$/);
const schema = z.object({
  hugemend: z.literal(1),
  size: z
    .int()
    .min(2 ** 21)
    .max(2 ** 34),
  descriptor: z.int().nonnegative().nullable(),
  page: z
    .object({
      base: bigText,
      offset: bigText,
      device: z.string().regex(/^[0-9a-f]+:[0-9a-f]+$/),
      inode: z.string().regex(/^[0-9]{1,20}$/),
    })
    .nullable(),
});

/** @returns the page's content, TAG_SIZE bytes */
export function encodeTag({ size, descriptor, page }: SpareTag): Buffer {
  const text = JSON.stringify({
    hugemend: 1,
    size,
    descriptor,
    page:
      page === null
        ? null
        : {
            base: hex(page.base),
            offset: hex(page.offset),
            device: page.device,
            inode: page.inode.toString(),
          },
  });
  const bytes = Buffer.alloc(TAG_SIZE);
  bytes.write(text, "latin1");
  return bytes;
}

/** @param bytes of the page, at least its text @returns undefined for anything but a tag */
export function decodeTag(bytes: Buffer): SpareTag | undefined {
  const end = bytes.indexOf(0);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("latin1", 0, end < 0 ? bytes.length : end));
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  const { size, descriptor, page } = parsed.data;
  return {
    size,
    descriptor,
    page:
      page === null
        ? null
        : {
            base: hva(BigInt(page.base)),
            offset: BigInt(page.offset),
            size,
            device: page.device,
            inode: BigInt(page.inode),
          },
  };
}

/** @param path as in /proc/PID/maps */
export function isTagPath(path: string): boolean {
  return path === `/memfd:${TAG_NAME} (deleted)` || path === `/memfd:${TAG_NAME}`;
}

/** @returns what the tag mapped there says; undefined if it says nothing yet, or nonsense */
export function readTag(pid: number, mapping: Mapping): SpareTag | undefined {
  const bytes = tryReadProcess(pid, mapping.start, TEXT_LIMIT);
  return bytes === undefined ? undefined : decodeTag(bytes);
}
