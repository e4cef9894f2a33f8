/**
 * What is known about one process that shall be protected. Collection only, and only by reading: the process is
 * not stopped, not traced and not changed. What the facts mean is decided in judge-vm.ts.
 */

import { readFileSync } from "node:fs";
import { LinuxError } from "../../linux/linux-error.js";
import { type Descriptor, readDescriptors } from "../../linux/procfs/fdinfo.js";
import { parseCounter } from "../../linux/procfs/hugepages.js";
import { hugetlbMappings } from "../../linux/procfs/map-files.js";
import { findMappers, type MapperScan } from "../../linux/procfs/mappers.js";
import { readMaps } from "../../linux/procfs/maps.js";
import { errnoOf, readText } from "../../linux/procfs/proc-file.js";
import { isQemu, readExecutable, sharesNamespace } from "../../linux/procfs/process-identity.js";
import { readSmaps } from "../../linux/procfs/smaps.js";
import { type ProcessStatus, readStatus, readThreadStatus } from "../../linux/procfs/status.js";
import { readTasks } from "../../linux/procfs/tasks.js";
import { programRelease } from "../../qemu/program-release.js";
import type { QemuRelease } from "../../qemu/qemu-release.js";
import { type Hazards, hazardsOf } from "../../recovery/hazards.js";

/** One mapping of large pages. */
export interface LargePageRegion {
  readonly start: bigint;
  readonly size: number;
  readonly pageSize: number;
  readonly shared: boolean;
  readonly path: string;
  /** Some other userfaultfd watches it (VmFlags um, uw, ui): postcopy migration or a background snapshot. */
  readonly watched: boolean;
}

/** Who traces one of its threads. */
export interface Tracer {
  readonly pid: number;
  readonly name: string;
  /** Arguments it was started with. */
  readonly command: readonly string[];
}

/** What needs permission to look at. */
export interface VmInsides {
  readonly executable: string;
  readonly qemu: boolean;
  /** Undefined where its program does not tell. */
  readonly release: QemuRelease | undefined;
  readonly regions: readonly LargePageRegion[];
  readonly descriptors: readonly Descriptor[];
  /** What may write behind the page tables, by the same rule that a recovery uses. */
  readonly hazards: Hazards;
  /** How many mappings it has, and may have (vm.max_map_count). */
  readonly mappings: number;
  readonly mappingsLimit: number;
  /** Any mapping is locked (VmFlags lo): new ones are populated at once. */
  readonly locked: boolean;
  /** Other processes that map the same large pages. */
  readonly mappers: MapperScan;
  readonly samePidNamespace: boolean | undefined;
}

/** One process. */
export interface VmFacts {
  readonly pid: number;
  readonly status: ProcessStatus;
  readonly tracer: Tracer | undefined;
  /** undefined when this user may not look inside. */
  readonly insides: VmInsides | undefined;
}

const WATCH_FLAGS = ["um", "uw", "ui"];

/** Any thread counts: ptrace attaches to threads, not to processes. */
function findTracer(pid: number): Tracer | undefined {
  for (const tid of readTasks(pid)) {
    const tracer = threadStatus(pid, tid)?.tracerPid ?? 0;
    if (tracer !== 0) return describeTracer(tracer);
  }
  return undefined;
}

/** undefined for a thread that has ended since it was listed. */
function threadStatus(pid: number, tid: number): ProcessStatus | undefined {
  try {
    return readThreadStatus(pid, tid);
  } catch (error) {
    if (errnoOf(error) === "HM_PROC_GONE") return undefined;
    throw error;
  }
}

/** @param tid a thread of the tracer: ptrace belongs to one thread */
function describeTracer(tid: number): Tracer {
  try {
    const { tgid, name } = readStatus(tid);
    const command = readFileSync(`/proc/${tgid}/cmdline`, "utf8").split("\0");
    return { pid: tgid, name, command: command.filter((argument) => argument !== "") };
  } catch {
    // It ended meanwhile, or hides its command line: its id is still worth telling.
    return { pid: tid, name: "", command: [] };
  }
}

/** A kernel thread has none; that must not look like a process that has ended. */
function executableOf(pid: number): string {
  try {
    return readExecutable(pid);
  } catch (error) {
    if (errnoOf(error) === "HM_PROC_GONE") return "no executable";
    throw error;
  }
}

function readInsides(pid: number): VmInsides {
  const mappings = readMaps(pid);
  const large = hugetlbMappings(pid, mappings);
  const details = new Map(readSmaps(pid).map((entry) => [entry.mapping.start, entry]));
  const descriptors = readDescriptors(pid);
  return {
    executable: executableOf(pid),
    qemu: isQemu(pid),
    release: programRelease(pid),
    regions: large.map(({ mapping, pageSize }) => ({
      start: mapping.start,
      size: Number(mapping.end - mapping.start),
      pageSize,
      shared: mapping.shared,
      path: mapping.path,
      watched: WATCH_FLAGS.some((flag) => details.get(mapping.start)?.vmFlags.has(flag)),
    })),
    descriptors,
    hazards: hazardsOf(
      descriptors,
      mappings.some(({ path }) => path.startsWith("/[aio]")),
    ),
    mappings: mappings.length,
    mappingsLimit: parseCounter("vm.max_map_count", readText("/proc/sys/vm/max_map_count")),
    locked: [...details.values()].some(({ vmFlags }) => vmFlags.has("lo")),
    mappers: findMappers(
      large.map(({ mapping }) => mapping),
      [pid],
    ),
    samePidNamespace: sharesNamespace(pid, "pid"),
  };
}

/**
 * Looks at one process.
 *
 * @param pid a process id
 * @returns the facts; without `insides` when this user may not read them
 * @throws LinuxError HM_NO_SUCH_PROCESS, HM_BAD_PID for input that names no living process; HM_PROC_…
 */
export function collectVmFacts(pid: number): VmFacts {
  let status: ProcessStatus;
  try {
    status = readStatus(pid);
  } catch (error) {
    if (errnoOf(error) !== "HM_PROC_GONE") throw error;
    throw new LinuxError("HM_NO_SUCH_PROCESS", `There is no process ${pid}`, {
      remedy: "List the virtual machines with: pgrep -a qemu",
      cause: error,
    });
  }
  if (status.tgid !== pid) {
    throw new LinuxError("HM_BAD_PID", `${pid} is a thread, not a process`, {
      remedy: `Its process is ${status.tgid}`,
    });
  }
  if (status.state === "Z" || status.state === "X") {
    throw new LinuxError("HM_NO_SUCH_PROCESS", `Process ${pid} has ended and waits for its parent to notice`);
  }
  const tracer = findTracer(pid);
  try {
    return { pid, status, tracer, insides: readInsides(pid) };
  } catch (error) {
    if (errnoOf(error) !== "HM_PROC_DENIED") throw error;
    return { pid, status, tracer, insides: undefined };
  }
}
