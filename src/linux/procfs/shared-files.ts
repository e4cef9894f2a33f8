/**
 * Whether a process shares a file, asked of the kernel: it walks the mappings, and only the shared ones of files come back. Most processes
 * have none or a few, so the answer takes a fraction of what reading /proc/PID/maps does.
 *
 * ioctl PROCMAP_QUERY on /proc/PID/maps, since Linux 6.11 (include/uapi/linux/fs.h, fs/proc/task_mmu.c do_procmap_query()). "Shared" is
 * VM_MAYSHARE there, as in the text, so that mappings of files opened for reading only count (tried).
 */

import { errno } from "../errno.js";
import { allocateNative } from "../native-memory.js";
import { closeDescriptor } from "../pidfd.js";
import { openPath } from "../small-file.js";
import { trySystemCall } from "../system-call.js";
import { deviceText, PROCMAP_QUERY, QUERY_SIZE, queryField } from "./mapping-query.js";
import type { Mapping } from "./maps.js";
import { procPath } from "./proc-file.js";

/** PROCMAP_QUERY_VMA_SHARED, _COVERING_OR_NEXT_VMA, _FILE_BACKED_VMA. */
const NEXT_SHARED_FILE = 0x08n | 0x10n | 0x20n;

/** From so many shared mappings on the text is read faster. */
const MOST_QUERIES = 64;

const query = allocateNative(QUERY_SIZE);
// Words are read as arrays: Buffer's own readers of 64 bits take ten times as long.
const words = new BigUint64Array(query.bytes.buffer, query.bytes.byteOffset, QUERY_SIZE / 8);
const halves = new Uint32Array(query.bytes.buffer, query.bytes.byteOffset, QUERY_SIZE / 4);
words[queryField.size / 8] = BigInt(QUERY_SIZE);
words[queryField.queryFlags / 8] = NEXT_SHARED_FILE;
let known = true;

/** So many descriptors at most, of 0.5 KiB of the kernel's memory each. Processes beyond are opened each time. */
const MOST_KEPT = 512;
/** A descriptor answers so often, and is opened anew then. */
const LOOKS = 8;

/** An open /proc/PID/maps. */
interface Kept {
  readonly descriptor: number;
  /** How often it may still be asked. */
  looks: number;
}

/**
 * See the head of the file; for whoever asks again and again. Opening /proc/PID/maps takes twice as long as the question, so it stays open. Its
 * descriptor stands for the memory that the process had then (fs/proc/task_mmu.c proc_maps_open()), without keeping that memory: after an exec, or when
 * the process has ended, the kernel answers ESRCH, and today's process of that number is asked. Only where somebody else had the same memory - who was
 * between vfork and exec when it was opened - there is no such sign: so no descriptor is kept for long.
 */
export class SharedFiles implements Disposable {
  readonly #kept = new Map<number, Kept>();

  /**
   * A quick first look. Private mappings are not seen.
   *
   * @param pid any process
   * @param files what to look for
   * @returns false if it shares none of them; true if it does, or if that cannot be told so quickly
   * @throws LinuxError HM_BAD_PID
   */
  has(pid: number, files: readonly Pick<Mapping, "device" | "inode">[]): boolean {
    if (!known) return true;
    const kept = this.#kept.get(pid);
    if (kept !== undefined) {
      const answer = kept.looks > 0 ? ask(kept.descriptor, files) : "gone";
      kept.looks -= 1;
      if (answer !== "gone") return answer;
      this.#forget(pid, kept);
    }
    const opened = openPath(procPath(pid, "maps"));
    if (opened.errno !== 0) return opened.errno !== errno.ENOENT && opened.errno !== errno.ESRCH;
    const descriptor = Number(opened.value);
    const answer = ask(descriptor, files);
    if (answer !== "gone" && this.#kept.size < MOST_KEPT)
      this.#kept.set(pid, { descriptor, looks: LOOKS - 1 });
    else closeDescriptor(descriptor);
    return answer === true;
  }

  /** @param pids all processes there are: what is kept for others is closed */
  retain(pids: readonly number[]): void {
    const alive = new Set(pids);
    for (const [pid, kept] of this.#kept) if (!alive.has(pid)) this.#forget(pid, kept);
  }

  #forget(pid: number, { descriptor }: Kept): void {
    closeDescriptor(descriptor);
    this.#kept.delete(pid);
  }

  [Symbol.dispose](): void {
    this.retain([]);
  }
}

/** @returns `gone` where there is no memory: a kernel thread, or a process that has ended or become another program */
function ask(descriptor: number, files: readonly Pick<Mapping, "device" | "inode">[]): boolean | "gone" {
  let from = 0n;
  for (let count = 0; count < MOST_QUERIES; count += 1) {
    words[queryField.address / 8] = from;
    // SAFETY: reads only; `descriptor` is a /proc/PID/maps, and the address that of a struct procmap_query of ours without buffers for names.
    const { errno: failed } = trySystemCall("ioctl", descriptor, PROCMAP_QUERY, query.address);
    if (failed === errno.ESRCH) return "gone";
    // No further mapping.
    if (failed === errno.ENOENT) return false;
    if (failed === errno.ENOTTY) known = false;
    if (failed !== 0) return true;
    const inode = words[queryField.inode / 8];
    if (files.some((file) => file.inode === inode && file.device === device())) return true;
    from = words[queryField.end / 8] ?? 0n;
  }
  return true;
}

/** Of the last answer. */
function device(): string {
  return deviceText(halves[queryField.deviceMajor / 4] ?? 0, halves[queryField.deviceMinor / 4] ?? 0);
}
