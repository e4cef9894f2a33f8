/*
 * RAM on a shared hugetlb memfd, as QEMU's with share=on, and errors in it. Poison is a userfaultfd marker over one whole large page:
 * every access raises SIGBUS while the file still holds the data, which is what memory_failure() does, without bad memory.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>
#include "marker.h"

#define SMALL_PAGE 4096ul

static volatile uint64_t *ram;
static size_t page_size;
static int ram_fd;
static sigjmp_buf recover_point;
static volatile int recovering;

static char *page_start(size_t page) { return (char *)ram + page * page_size; }

static void on_bus_error(int number) {
  (void)number;
  if (!recovering) { static const char text[] = "unexpected SIGBUS\n"; (void)!write(1, text, sizeof text - 1); _exit(3); }
  siglongjmp(recover_point, 1);
}

/* 0 right, 1 lost, 2 wrong byte */
static int try_word(size_t word) {
  recovering = 1;
  if (sigsetjmp(recover_point, 1)) { recovering = 0; return 1; }
  uint64_t value = ram[word];
  recovering = 0;
  return value == pattern(word) ? 0 : 2;
}

/* The file keeps the page. */
static void poison(size_t page) {
  if (madvise(page_start(page), page_size, MADV_DONTNEED)) die("MADV_DONTNEED");
  mark_lost(page_start(page), page_size);
}

/* Puts the large page back, whatever lies there now, and maps it. */
static void remap(size_t page) {
  void *at = page_start(page);
  int flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE;
  if (mmap(at, page_size, PROT_READ | PROT_WRITE, flags, ram_fd, page * page_size) != at) die("mmap");
  keep_from_children(at, page_size);
  if (try_word(page * page_size / 8) != 0) die("the large page that was put back");
}

/*
 * Takes memory from the kernel and gives it back, in large blocks where there are some. A hypervisor may have taken away what was free for
 * seconds: the first to get such a page waits for it, many times longer than for anything that is compared, and who that is would be chance.
 */
static void warm(size_t bytes) {
  size_t large = 2ul << 20;
  char *room = mmap(NULL, bytes + large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) die("mmap");
  char *at = (char *)(((uintptr_t)room + large - 1) / large * large);
  madvise(at, bytes, MADV_HUGEPAGE);
  for (size_t page = 0; page < bytes; page += SMALL_PAGE) at[page] = 1;
  munmap(room, bytes + large);
}

static void make_ram(size_t pages, size_t large, size_t mapped) {
  page_size = large;
  int log2_size = large == 1u << 30 ? 30 : 21;
  ram_fd = memfd_create("bench-ram", MFD_CLOEXEC | MFD_HUGETLB | (unsigned)log2_size << MAP_HUGE_SHIFT);
  if (ram_fd < 0 || ftruncate(ram_fd, mapped)) die("memfd");
  ram = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram_fd, 0);
  if (ram == MAP_FAILED) die("mmap");
  keep_from_children((void *)ram, mapped);
  struct sigaction action = {.sa_handler = on_bus_error};
  sigaction(SIGBUS, &action, NULL);
  for (size_t word = 0, words = pages * large / 8; word < words; word++) ram[word] = pattern(word);
}

#endif
