/*
 * Broken memory for a stock QEMU: a library that is loaded into it (LD_PRELOAD) and lets its large pages go bad when told. Nothing else
 * of QEMU is touched. Commands on standard input, one answer line each, "done":
 *
 *   poison ADDRESS BYTES FD OFFSET    every access to the large page raises SIGBUS; the file keeps it
 *   remap ADDRESS BYTES FD OFFSET     it is back, whatever lies there now
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include "marker.h"

static void *map_at(void *at, int fixed, size_t size, int fd, size_t offset) {
  void *got = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | fixed, fd, offset);
  if (got == MAP_FAILED) die("mmap");
  keep_from_children(got, size);
  return got;
}

/*
 * Made elsewhere and moved in with its marker by one call: a processor of the guest that stops at it finds no userfaultfd there, which
 * the guard would take for a migration.
 */
static void poison(char *page, size_t size, int fd, size_t offset) {
  char *room = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) die("mmap");
  char *bad = map_at((char *)(((uintptr_t)room + size - 1) / size * size), MAP_FIXED, size, fd, offset);
  mark_lost(bad, size);
  if (mremap(bad, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page) die("mremap");
  munmap(room, 2 * size);
}

static void *obey_all(void *argument) {
  char line[128], command[32];
  unsigned long address, size, offset;
  int fd;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%31s %lx %lx %d %lu", command, &address, &size, &fd, &offset) != 5) die("a command");
    if (command[0] == 'p') poison((char *)address, size, fd, offset);
    else map_at((char *)address, MAP_FIXED, size, fd, offset);
    printf("done\n");
  }
  /* Whoever started the VM is gone. */
  _exit(0);
  return argument;
}

/* QEMU's signals are for QEMU's threads. */
__attribute__((constructor)) static void begin(void) {
  unsetenv("LD_PRELOAD");
  setvbuf(stdout, NULL, _IOLBF, 256);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, obey_all, NULL)) die("pthread_create");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
