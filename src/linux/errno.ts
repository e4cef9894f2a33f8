/** Error numbers as in include/uapi/asm-generic/errno-base.h and errno.h; the same on x86-64 and arm64. */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EROFS: 30,
  ENOSYS: 38,
} as const;

const names = new Map<number, string>(Object.entries(errno).map(([name, number]) => [number, name]));

/** `EIO` for 5; `errno 123` for a number without a name here. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}
