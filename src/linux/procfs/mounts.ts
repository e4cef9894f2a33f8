/**
 * /proc/PID/mountinfo (fs/proc_namespace.c, show_mountinfo(); proc_pid_mountinfo(5)).
 */

import { formatError, procPath, readText } from "./proc-file.js";

/** One mount. */
export interface Mount {
  /** Device of the mounted filesystem, *decimal* `major:minor`, unlike /proc/PID/maps. */
  readonly device: string;
  /** Which directory of the filesystem is mounted. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** A hugetlbfs mount. */
export interface HugetlbMount {
  readonly mountPoint: string;
  /** Size of its pages, in bytes. */
  readonly pageSize: number;
}

const FILE = "/proc/PID/mountinfo";

/** The kernel writes blank, tab, newline, backslash and # as octal (mangle_path()). */
function unescapePath(path: string): string {
  return path.replace(/\\([0-3][0-7]{2})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function parseLine(line: string): Mount {
  const fields = line.split(" ");
  const [id, parent, device, root, mountPoint, options] = fields;
  // Optional fields end at a single dash.
  const dash = fields.indexOf("-", 6);
  const fsType = fields[dash + 1];
  const source = fields[dash + 2];
  const superOptions = fields[dash + 3];
  if (
    dash < 6 ||
    fields.length !== dash + 4 ||
    id === undefined ||
    !/^\d+$/.test(id) ||
    parent === undefined ||
    !/^\d+$/.test(parent) ||
    device === undefined ||
    !/^\d+:\d+$/.test(device) ||
    !root ||
    !mountPoint ||
    !options ||
    !fsType ||
    source === undefined ||
    superOptions === undefined
  ) {
    throw formatError(FILE, "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE SOURCE OPTIONS", line);
  }
  return {
    device,
    root: unescapePath(root),
    mountPoint: unescapePath(mountPoint),
    options: options.split(","),
    fsType,
    source: unescapePath(source),
    superOptions: superOptions.split(","),
  };
}

/**
 * @param text the whole of a mountinfo file
 * @returns its mounts in order
 * @throws LinuxError HM_PROC_FORMAT
 */
export function parseMountinfo(text: string): Mount[] {
  if (text === "") return [];
  if (!text.endsWith("\n")) throw formatError(FILE, "a newline after the last line", text.slice(-120));
  return text.slice(0, -1).split("\n").map(parseLine);
}

/** @returns the mounts a process sees @throws LinuxError HM_PROC_… as in proc-file.ts */
export function readMounts(pid: number): Mount[] {
  return parseMountinfo(readText(procPath(pid, "mountinfo")));
}

const UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/**
 * @param mounts any mounts
 * @returns those of hugetlbfs with their page size
 * @throws LinuxError HM_PROC_FORMAT when one does not say its page size (hugetlbfs_show_options() always does)
 */
export function hugetlbMounts(mounts: readonly Mount[]): HugetlbMount[] {
  return mounts
    .filter((mount) => mount.fsType === "hugetlbfs")
    .map(({ mountPoint, superOptions }) => {
      const option = superOptions.find((text) => text.startsWith("pagesize=")) ?? "";
      const [, count, unit] = /^pagesize=(\d{1,9})([KMG])$/.exec(option) ?? [];
      const factor = unit === undefined ? undefined : UNITS[unit];
      if (count === undefined || factor === undefined) {
        throw formatError(FILE, "pagesize=N[KMG] among the options of hugetlbfs", superOptions.join(","));
      }
      return { mountPoint, pageSize: Number(count) * factor };
    });
}
