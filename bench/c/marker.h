/* Poison markers, as a process puts them into its own memory. */
#ifndef MARKER_H
#define MARKER_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "clock.h"

#ifndef UFFDIO_POISON
struct uffdio_poison { struct uffdio_range range; __u64 mode; __s64 bytes_updated; };
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#define UFFD_FEATURE_POISON (1 << 14)
#endif

/* A userfaultfd of this process that may also serve the kernel's own faults. */
static int open_userfaultfd(void) {
  int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0) die("userfaultfd");
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_POISON};
  if (ioctl(fd, UFFDIO_API, &api)) die("UFFDIO_API");
  return fd;
}

static void watch_missing(int fd, void *start, size_t size) {
  struct uffdio_register registration = {.range = {(uintptr_t)start, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(fd, UFFDIO_REGISTER, &registration)) die("UFFDIO_REGISTER");
}

/* Every access to the range raises SIGBUS from now on. Nothing may be mapped there. */
static void mark_lost(void *start, size_t size) {
  int fd = open_userfaultfd();
  watch_missing(fd, start, size);
  struct uffdio_poison mark = {.range = {(uintptr_t)start, size}};
  if (ioctl(fd, UFFDIO_POISON, &mark)) die("UFFDIO_POISON");
  if (ioctl(fd, UFFDIO_UNREGISTER, &mark.range)) die("UFFDIO_UNREGISTER");
  close(fd);
}

/* A child must not map the RAM: QEMU's do not either, and the guard keeps off RAM that others map. */
static void keep_from_children(void *start, size_t size) {
  if (madvise(start, size, MADV_DONTFORK)) die("MADV_DONTFORK");
}

#endif
