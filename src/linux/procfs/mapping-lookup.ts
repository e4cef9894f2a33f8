/**
 * What is mapped at one address of a process. A kernel that knows PROCMAP_QUERY is asked for that mapping alone, however many there
 * are: reading /proc/PID/maps takes as long as the process has mappings, and each replaced large page makes two more.
 */

import type { Hva } from "../address.js";
import { errno } from "../errno.js";
import { allocateNative } from "../native-memory.js";
import { closeDescriptor } from "../pidfd.js";
import { openPath } from "../small-file.js";
import { trySystemCall } from "../system-call.js";
import { readMappingAt } from "./find-mapping.js";
import { hugetlbPageSize } from "./map-files.js";
import { MappingQuery, NAME_LIMIT, PROCMAP_QUERY, QUERY_SIZE } from "./mapping-query.js";
import type { Mapping } from "./maps.js";
import { procPath } from "./proc-file.js";

const scratch = allocateNative(QUERY_SIZE + NAME_LIMIT);
const query = new MappingQuery(scratch.bytes, scratch.address);

/** What is mapped at an address. */
export interface FoundMapping {
  readonly mapping: Mapping;
  /** Bytes of its pages, if the kernel has told (vma_page_size: vma_kernel_pagesize(), mm/hugetlb.c). */
  readonly pageSize: number | undefined;
}

/**
 * See the head of the file. Keeps /proc/PID/maps open, because opening it costs ten times the question. The descriptor stands for the
 * memory the process had then (fs/proc/task_mmu.c proc_maps_open): after an exec, or in a dead process, the kernel answers ESRCH, and the
 * text of today's process is read.
 */
export class MappingLookup implements Disposable {
  readonly pid: number;
  readonly #path: string;
  #descriptor: number | undefined;
  /** Devices of hugetlbfs, and their pages' bytes. */
  readonly #largePages = new Map<string, number>();
  /** Whether the kernel has said that it does not know the question. */
  #tooOld = false;

  /** @param pid the process @throws LinuxError HM_BAD_PID */
  constructor(pid: number) {
    this.pid = pid;
    this.#path = procPath(pid, "maps");
  }

  /** Whether the kernel knows PROCMAP_QUERY, as far as it was asked. */
  get quick(): boolean {
    return !this.#tooOld;
  }

  /**
   * @returns what is mapped there now, or undefined for a hole
   * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ, HM_PROC_FORMAT
   */
  at(address: Hva): FoundMapping | undefined {
    const answer = this.#tooOld ? "no answer" : this.#ask(address);
    if (answer !== "no answer") return answer;
    const mapping = readMappingAt(this.pid, address);
    return mapping === undefined ? undefined : { mapping, pageSize: undefined };
  }

  /**
   * Which pages of hugetlbfs are there. A mapping of large pages may be a DAX device as well, so the file system is asked (map-files.ts);
   * where it has said so once, the kernel's word for another mapping on the same device is enough.
   *
   * @returns bytes of a large page, or undefined if it is not hugetlbfs or has changed meanwhile
   * @throws LinuxError HM_PROC_DENIED, HM_PROC_READ
   */
  largePageSize({ mapping, pageSize }: FoundMapping): number | undefined {
    if (pageSize !== undefined && pageSize === this.#largePages.get(mapping.device)) return pageSize;
    const size = hugetlbPageSize(this.pid, mapping);
    if (size !== undefined) this.#largePages.set(mapping.device, size);
    return size;
  }

  #ask(address: Hva): FoundMapping | undefined | "no answer" {
    if (this.#descriptor === undefined) {
      const opened = openPath(this.#path);
      if (opened.errno !== 0) return "no answer";
      this.#descriptor = Number(opened.value);
    }
    query.ask(address);
    // SAFETY: only reads; the structure and the name's buffer are scratch memory of ours, as large as the structure says.
    const { errno: failed } = trySystemCall("ioctl", this.#descriptor, PROCMAP_QUERY, scratch.address);
    if (failed === 0) return { mapping: query.answer(), pageSize: query.pageSize() };
    if (failed === errno.ENOENT) return undefined;
    this.#tooOld = failed === errno.ENOTTY;
    this[Symbol.dispose]();
    return "no answer";
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeDescriptor(this.#descriptor);
    this.#descriptor = undefined;
  }
}
