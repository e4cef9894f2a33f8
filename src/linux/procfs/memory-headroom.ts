/** How much more memory a process may take: what the host has, and what its control groups allow (cgroups(7)). */

import { join } from "node:path";
import { KeptFile } from "./kept-file.js";
import { procPath, tryReadText } from "./proc-file.js";

const ROOT = "/sys/fs/cgroup";

const hostMemory = new KeptFile("/proc/meminfo");

/** Documentation/filesystems/proc.rst: what the host can give without swapping. 0 if the kernel does not say. */
export function availableMemory(): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(hostMemory.read() ?? "")?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** Of one process, asked again and again: what is read each time is kept open. */
export class MemoryHeadroom implements Disposable {
  readonly #groups: KeptFile;
  #text = "";
  #accounts: Account[] = [];

  /** @param pid who would pay for the memory */
  constructor(pid: number | "self") {
    this.#groups = new KeptFile(pid === "self" ? "/proc/self/cgroup" : procPath(pid, "cgroup"));
  }

  /**
   * @param enough bytes beyond which it does not matter how many there are
   * @returns bytes, exact below `enough`; never more than the host has. Limits that cannot be read do not count
   */
  bytes(enough: number): number {
    const text = this.#groups.read() ?? "";
    // It may have been moved to another group.
    if (text !== this.#text) {
      this.#close();
      this.#accounts = accountsOf(text);
      this.#text = text;
    }
    return Math.min(availableMemory(), ...this.#accounts.map((account) => account.left(enough)));
  }

  #close(): void {
    for (const account of this.#accounts) account[Symbol.dispose]();
    this.#accounts = [];
  }

  [Symbol.dispose](): void {
    this.#close();
    this.#text = "";
    this.#groups[Symbol.dispose]();
  }
}

/** How a kind of control groups names what it knows. */
interface AccountNames {
  readonly limit: string;
  readonly used: string;
  /** In memory.stat: pages of files, which are given back when they are needed. */
  readonly inactive: string;
}

/** Documentation/admin-guide/cgroup-v2.rst. */
const unified: AccountNames = { limit: "memory.max", used: "memory.current", inactive: "inactive_file" };
/** Documentation/admin-guide/cgroup-v1/memory.rst. */
const legacy: AccountNames = {
  limit: "memory.limit_in_bytes",
  used: "memory.usage_in_bytes",
  inactive: "total_inactive_file",
};

/** One control group's account. */
class Account implements Disposable {
  readonly #folder: string;
  readonly #inactive: string;
  readonly #limit: KeptFile;
  readonly #used: KeptFile;

  constructor(folder: string, { limit, used, inactive }: AccountNames) {
    this.#folder = folder;
    this.#inactive = inactive;
    this.#limit = new KeptFile(join(folder, limit));
    this.#used = new KeptFile(join(folder, used));
  }

  /** See {@link MemoryHeadroom.bytes}. Infinity without a limit. */
  left(enough: number): number {
    const limit = this.#limit.read()?.trim();
    if (limit === undefined || limit === "max") return Number.POSITIVE_INFINITY;
    const used = this.#used.read();
    if (used === undefined) return Number.POSITIVE_INFINITY;
    const free = Number(limit) - Number(used);
    return free >= enough ? free : Math.max(0, free + this.#reclaimable());
  }

  /** Takes longer than all the rest. */
  #reclaimable(): number {
    const text = tryReadText(join(this.#folder, "memory.stat")) ?? "";
    return Number(new RegExp(`^${this.#inactive} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  }

  [Symbol.dispose](): void {
    this.#limit[Symbol.dispose]();
    this.#used[Symbol.dispose]();
  }
}

/** @param text of /proc/PID/cgroup @returns accounts from the process's own group up to the root */
function accountsOf(text: string): Account[] {
  const path = /^0::(\/.*)$/m.exec(text)?.[1];
  const legacyPath = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(\/.*)$/m.exec(text)?.[1];
  return [
    ...upwards(path).map((one) => new Account(join(ROOT, one), unified)),
    ...upwards(legacyPath).map((one) => new Account(join(ROOT, "memory", one), legacy)),
  ];
}

function upwards(path: string | undefined): string[] {
  if (path === undefined) return [];
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, up) => parts.slice(0, parts.length - up).join("/"));
}
