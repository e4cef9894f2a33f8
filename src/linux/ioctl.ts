/** ioctl request numbers, derived as include/uapi/asm-generic/ioctl.h does. */

/** Which way data goes, seen from user space. */
export type IoctlDirection = "none" | "write" | "read" | "read-write";

const directionBits: Readonly<Record<IoctlDirection, number>> = {
  none: 0,
  write: 1,
  read: 2,
  "read-write": 3,
};

/**
 * @param direction which way the argument goes
 * @param type the driver's magic number, 0 to 255
 * @param number the request within the driver, 0 to 255
 * @param size bytes of the argument, 0 to 16383
 * @returns the 32-bit request, unsigned
 */
export function ioctlRequest(direction: IoctlDirection, type: number, number: number, size: number): number {
  return ((directionBits[direction] << 30) | (size << 16) | (type << 8) | number) >>> 0;
}
