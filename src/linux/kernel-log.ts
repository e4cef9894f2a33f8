/** /dev/kmsg, record by record (Documentation/ABI/testing/dev-kmsg). */

import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { LinuxError } from "./linux-error.js";
import { systemCall } from "./system-call.js";

/** Character device 1:11 (Documentation/admin-guide/devices.txt), as stat(2) gives it. */
const KMSG_DEVICE = 0x10b;

const SEEK_END = 2;

/** One record. */
export interface KernelLogRecord {
  /** 0 is the kernel itself: whoever writes to /dev/kmsg gets 1 or more (kernel/printk/printk.c, devkmsg_write()). */
  readonly facility: number;
  /** The first line. */
  readonly text: string;
}

/** @param record what one read gave @returns undefined if it is no record */
export function parseKernelLogRecord(record: string): KernelLogRecord | undefined {
  const [, prefix, text] = /^(\d{1,9}),\d+,\d+,[^;\n]*;([^\n]*)/.exec(record) ?? [];
  if (prefix === undefined || text === undefined) return undefined;
  return { facility: Number(prefix) >> 3, text };
}

/** @returns a descriptor that gives every record from now on, one a read, without blocking @throws LinuxError HM_KMSG, Error of node:fs */
export function openKernelLog(): number {
  const fd = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (fstatSync(fd).rdev !== KMSG_DEVICE)
      throw new LinuxError("HM_KMSG", "/dev/kmsg is not the kernel's log");
    systemCall("lseek", fd, 0, SEEK_END);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
