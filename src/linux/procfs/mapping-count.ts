/** How many mappings a process has, and may have, without counting them each time. */

import { readMapsText } from "./maps.js";
import { readText } from "./proc-file.js";

/** vm.max_map_count (Documentation/admin-guide/sysctl/vm.rst). */
const LIMIT = "/proc/sys/vm/max_map_count";

/** What a process has, and may have. */
export interface MappingRoom {
  /** Mappings it has; an upper estimate unless there are almost too many. */
  readonly mappings: number;
  readonly limit: number;
}

/**
 * Counts the lines of /proc/PID/maps, and after that trusts in what was counted plus what we have added ourselves, for as long as that is
 * at most half of what was left then. So it counts seldom while there is room, and each time when there is hardly any. The rest of the
 * room is for what the process maps by itself. Should it need more than that, the kernel refuses to split a mapping (mremap(2): ENOMEM),
 * and nothing has happened.
 */
export class MappingCount {
  readonly #pid: number;
  /** A recovery makes at most so many mappings. */
  readonly #step: number;
  #counted = 0;
  #added = 0;
  #limit = 0;

  /** @param pid the process @param step how many mappings one recovery makes, at most */
  constructor(pid: number, step: number) {
    this.#pid = pid;
    this.#step = step;
  }

  /** Called before each recovery. @throws LinuxError HM_PROC_… */
  beforeRecovery(): MappingRoom {
    if (2 * (this.#added + this.#step) > this.#limit - this.#counted) this.#count();
    const mappings = this.#counted + this.#added;
    this.#added += this.#step;
    return { mappings, limit: this.#limit };
  }

  #count(): void {
    this.#counted = readMapsText(this.#pid).split("\n").length - 1;
    this.#limit = Number(readText(LIMIT));
    this.#added = 0;
  }
}
