/*
 * A small process with real large pages that behaves like QEMU where it matters: RAM on a shared hugetlb memfd, a SIGBUS
 * handler, threads that read and write all the time. Poison is a userfaultfd marker over one whole large page: every access
 * raises SIGBUS with BUS_MCEERR_AR, while the file still holds the data - what memory_failure() does, without bad memory.
 *
 *   large-pages PAGES [PAGE_SIZE] [private | locked | confined | shared [FILE]]
 *     locked: all memory is locked; confined: no privileges, as QEMU is run by libvirt; FILE: map this hugetlbfs file instead of a new memfd
 *
 * Commands on standard input, one answer line each:
 *   poison K          mark large page K
 *   check K           read every 4 KiB of it: "check ok=… lost=… corrupt=…"
 *   touch K OFFSET    read one byte: "touch ok NS", "touch lost CODE ADDRESS LSB" or "touch corrupt"
 *   blocked K OFFSET  the same in a thread that blocks SIGBUS, as QEMU's main loop does
 *   block             two threads that block SIGBUS, and wait
 *   both K L          one of them reads large page K, the other L, at the same moment: "both ok still-blocked ok still-blocked"
 *   hammer N          start N threads that read random words of all pages and check them
 *   reads             "reads=…" so far
 *   scribble N        before `hammer`: N threads that each write other values into a word of their own in every 4 KiB, and check that
 *                     what they have written before is still there
 *   calm              stop them, and put the pattern back: "calm reads=… writes=… lost=… corrupt=…"
 *   churn N           start and join N threads, one after another
 *   flurry N          N threads that start and join threads until `still`
 *   still             stop them: "still born=…"
 *   born K OFFSET     touch in a new thread
 *   advise            madvise all RAM: DONTDUMP, MERGEABLE (it is DONTFORK from the start, as QEMU's is)
 *   inherit           madvise all RAM: DOFORK
 *   policy MODE       mbind all RAM to node 0 with this mode (include/uapi/linux/mempolicy.h)
 *   optional K OFFSET the thread sends itself SIGBUS as memory_failure() does when nobody touched the page:
 *                     "optional CODE ADDRESS LSB" as it arrives
 *   handler           "handler caught" or "handler default"
 *   remap K           put the large page back
 *   hole K OFFSET     unmap one 4 KiB of it
 *   plug K            memory that came later: large page K is one of a file of its own
 *   watch             all RAM is watched by a userfaultfd, as during a postcopy migration
 *   unwatch           no more
 *   occupy ADDRESS    2 MiB of memory of its own there (decimal): "occupy done" or "occupy taken"
 *   occupied ADDRESS  whether it still holds what was written
 *   forbid ADDRESS    from now on a seccomp filter refuses to move what lies there (decimal)
 *   punch K           punch it out of its file, as QEMU does at a reset
 *   forget            close the descriptor of the RAM file; what is mapped stays
 *   mend K OFFSET     write the pattern into a 4 KiB again: "mend zeros" or "mend data", as it was before, or "mend lost"
 *   exec PROGRAM      become another program
 *   leave             end this thread, let the others run
 *   quit
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFDIO_POISON
struct uffdio_poison { struct uffdio_range range; __u64 mode; __s64 bytes_updated; };
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#define UFFD_FEATURE_POISON (1 << 14)
#endif

static volatile uint64_t *ram;
static size_t page_size = 2 << 20, pages;
static int ram_fd;
static _Thread_local sigjmp_buf recover_point;
static _Thread_local volatile int recovering;
static _Thread_local siginfo_t last_error;

static void die(const char *what) { perror(what); exit(1); }

static void on_bus_error(int number, siginfo_t *info, void *context) {
  (void)number; (void)context;
  last_error = *info;
  if (!recovering) { static const char text[] = "unexpected SIGBUS\n"; (void)!write(1, text, sizeof text - 1); _exit(3); }
  siglongjmp(recover_point, 1);
}

/* The pattern of a word depends on its place and never is zero. */
static uint64_t pattern(size_t word) { return (word + 1) * 0x9e3779b97f4a7c15ull | 1; }

static size_t words_per_page(void) { return page_size / 8; }

static void fill(size_t page) {
  for (size_t w = page * words_per_page(), end = w + words_per_page(); w < end; w++) ram[w] = pattern(w);
}

/* The last words of each small page belong to the scribblers; the first one's is the very last. */
#define SMALL_WORDS (4096 / 8)
#define MOST_SCRIBBLERS 4
static int scribbler_count;

static int is_scribbled(size_t word) { return word % SMALL_WORDS >= SMALL_WORDS - (size_t)scribbler_count; }

/* 0 right, 1 lost, 2 wrong byte */
static int try_word(size_t word) {
  recovering = 1;
  if (sigsetjmp(recover_point, 1)) { recovering = 0; return 1; }
  uint64_t value = ram[word];
  recovering = 0;
  return value == pattern(word) ? 0 : 2;
}

#define MOST_HAMMERS 16
/*
 * While a page is being poisoned, its userfaultfd is registered and a guard rightly keeps off it, so no hammer may meet the marker
 * before that is over. The gate closes for this one page only, and only until it is poisoned: the hammers run on elsewhere, and all
 * that want the page come at once when it opens. Nobody waits for a hammer that is stopped at another page, and one that is stopped
 * at this page waits for its guard or its handler, never for the gate. Both sides write, then read (sequentially consistent).
 */
static atomic_size_t gated, inside[MOST_HAMMERS + MOST_SCRIBBLERS]; /* number of a page and one, or 0 */

static void enter(size_t hammer, size_t page) {
  for (;;) {
    inside[hammer] = page + 1;
    if (gated != page + 1) return;
    inside[hammer] = 0;
    usleep(50);
  }
}

static void leave(size_t hammer) { inside[hammer] = 0; }

static void close_gate(size_t page) {
  gated = page + 1;
  for (size_t hammer = 0; hammer < MOST_HAMMERS + MOST_SCRIBBLERS; hammer++)
    while (inside[hammer] == page + 1) usleep(50);
}

#include "own-memory.h"

static void poison(size_t page) {
  close_gate(page);
  int fd = open_userfaultfd(UFFD_FEATURE_POISON);
  uintptr_t start = (uintptr_t)ram + page * page_size;
  struct uffdio_register registration = {.range = {start, page_size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(fd, UFFDIO_REGISTER, &registration)) die("UFFDIO_REGISTER");
  /* Markers can only be put where nothing is mapped; the file keeps the page. */
  if (madvise((void *)start, page_size, MADV_DONTNEED)) die("MADV_DONTNEED");
  struct uffdio_poison mark = {.range = {start, page_size}};
  while (ioctl(fd, UFFDIO_POISON, &mark)) {
    if (errno != EEXIST && errno != EAGAIN) die("UFFDIO_POISON");
    madvise((void *)start, page_size, MADV_DONTNEED); /* another thread was quicker */
  }
  if (ioctl(fd, UFFDIO_UNREGISTER, &registration.range)) die("UFFDIO_UNREGISTER");
  close(fd);
  gated = 0;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void touch(size_t page, size_t offset) {
  uint64_t before = now_ns();
  int result = try_word((page * page_size + offset) / 8);
  uint64_t after = now_ns();
  if (result == 0) printf("touch ok %llu\n", (unsigned long long)(after - before));
  else if (result == 2) printf("touch corrupt\n");
  else printf("touch lost %d %p %d\n", last_error.si_code, last_error.si_addr, last_error.si_addr_lsb);
}

struct place { size_t page, offset; };
static void *touch_blocked(void *argument) {
  struct place *place = argument;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGBUS);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  /* No recovery point: a forced signal on a blocking thread would end the process. */
  size_t word = (place->page * page_size + place->offset) / 8;
  uint64_t value = ram[word];
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  printf("blocked %s %s\n", value == pattern(word) ? "ok" : "corrupt", sigismember(&after, SIGBUS) ? "still-blocked" : "unblocked");
  return NULL;
}

#include "blockers.h"

static pthread_t hammers[MOST_HAMMERS];
static int hammer_count;
static atomic_int hammering;
static atomic_ullong reads, writes, losses, corruptions;

static _Thread_local uint64_t hammered;

static void *hammer(void *argument) {
  size_t me = (uintptr_t)argument - 1;
  uint64_t random = 88172645463325252ull + (uintptr_t)argument * 7919;
  while (hammering) {
    random ^= random << 13; random ^= random >> 7; random ^= random << 17;
    size_t word = random % (pages * words_per_page());
    if (is_scribbled(word)) continue;
    enter(me, word / words_per_page());
    int result = try_word(word);
    if (result == 1) losses++;
    if (result == 2) corruptions++;
    /* Writing the right value must never be lost either. */
    if (result == 0 && (random & 0x700) == 0) {
      recovering = 1;
      if (sigsetjmp(recover_point, 1) == 0) ram[word] = pattern(word);
      recovering = 0;
    }
    leave(me);
    if ((++hammered & 1023) == 0) reads += 1024;
  }
  return NULL;
}

#include "scribblers.h"

#include "births.h"

static void *touch_once(void *argument) {
  struct place *place = argument;
  touch(place->page, place->offset);
  return NULL;
}

/* Allowed from a thread to its own process (kernel/signal.c do_rt_tgsigqueueinfo). */
static void send_optional(size_t page, size_t offset) {
  siginfo_t info = {.si_signo = SIGBUS, .si_code = BUS_MCEERR_AO};
  info.si_addr = (char *)ram + page * page_size + offset;
  info.si_addr_lsb = 21;
  memset(&last_error, 0, sizeof last_error);
  recovering = 1;
  if (sigsetjmp(recover_point, 1) == 0) {
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info)) die("rt_tgsigqueueinfo");
    for (;;) pause();
  }
  recovering = 0;
  printf("optional %d %p %d\n", last_error.si_code, last_error.si_addr, last_error.si_addr_lsb);
}

__attribute__((noinline)) static int any_wrong(size_t first, size_t words) {
  int wrong = 0;
  for (size_t w = first; w < first + words; w++) if (!is_scribbled(w) && ram[w] != pattern(w)) wrong = 1;
  return wrong;
}

/* All words of a small page: 0 right, 1 lost, 2 wrong byte. */
static int try_small(size_t first, size_t words) {
  recovering = 1;
  if (sigsetjmp(recover_point, 1)) { recovering = 0; return 1; }
  int wrong = any_wrong(first, words);
  recovering = 0;
  return wrong ? 2 : 0;
}

static void check(size_t page) {
  size_t ok = 0, lost = 0, corrupt = 0, small = 4096 / 8;
  for (size_t first = page * words_per_page(), end = first + words_per_page(); first < end; first += small) {
    int result = try_small(first, small);
    if (result == 0) ok++; else if (result == 1) lost++; else corrupt++;
  }
  printf("check ok=%zu lost=%zu corrupt=%zu\n", ok, lost, corrupt);
}

static void remap(size_t page) {
  void *at = (char *)ram + page * page_size;
  if (mmap(at, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ram_fd, page * page_size) != at) die("mmap");
  if (madvise(at, page_size, MADV_DONTFORK)) die("MADV_DONTFORK");
}

static const char *mend(size_t page, size_t offset) {
  size_t word = (page * page_size + offset) / 8, end = word + 512;
  volatile uint64_t held = 0;
  recovering = 1;
  if (sigsetjmp(recover_point, 1)) { recovering = 0; return "lost"; }
  for (; word < end; word++) { held |= ram[word]; ram[word] = pattern(word); }
  recovering = 0;
  return held ? "data" : "zeros";
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  pages = strtoul(arguments[1], NULL, 0);
  if (count > 2) page_size = strtoul(arguments[2], NULL, 0);
  int private = count > 3 && strcmp(arguments[3], "private") == 0;
  int log2_size = page_size == 1u << 30 ? 30 : 21;
  ram_fd = count > 4 ? open(arguments[4], O_RDWR | O_CLOEXEC)
                     : memfd_create("victim-ram", MFD_CLOEXEC | MFD_HUGETLB | (unsigned)log2_size << MAP_HUGE_SHIFT);
  if (ram_fd < 0 || ftruncate(ram_fd, pages * page_size)) die("memfd");
  ram = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE, private ? MAP_PRIVATE : MAP_SHARED, ram_fd, 0);
  if (ram == MAP_FAILED) die("mmap");
  if (madvise((void *)ram, pages * page_size, MADV_DONTFORK)) die("MADV_DONTFORK");
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  if (count > 3 && strcmp(arguments[3], "locked") == 0 && mlockall(MCL_CURRENT | MCL_FUTURE)) die("mlockall");
  for (size_t page = 0; page < pages; page++) fill(page);
  if (count > 3 && strcmp(arguments[3], "confined") == 0) drop_privileges();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready %d %p\n", getpid(), (void *)ram);
  char line[128], command[32];
  while (fgets(line, sizeof line, stdin)) {
    size_t first = 0, second = 0;
    if (sscanf(line, "%31s %zu %zu", command, &first, &second) < 1) continue;
    if (!strcmp(command, "poison")) { poison(first); puts("poison done"); }
    else if (!strcmp(command, "check")) check(first);
    else if (!strcmp(command, "touch")) touch(first, second);
    else if (!strcmp(command, "block")) { begin_blocking(); puts("block done"); }
    else if (!strcmp(command, "both")) read_both(first, second);
    else if (!strcmp(command, "blocked")) {
      pthread_t thread;
      struct place place = {first, second};
      pthread_create(&thread, NULL, touch_blocked, &place);
      pthread_join(thread, NULL);
    } else if (!strcmp(command, "hammer")) {
      hammering = 1;
      reads = 0;
      if (scribbler_count == 0) losses = corruptions = 0;
      for (hammer_count = 0; hammer_count < (int)first && hammer_count < MOST_HAMMERS; hammer_count++)
        pthread_create(&hammers[hammer_count], NULL, hammer, (void *)(uintptr_t)(hammer_count + 1));
      puts("hammer started");
    } else if (!strcmp(command, "calm")) {
      hammering = 0;
      for (int i = 0; i < hammer_count; i++) pthread_join(hammers[i], NULL);
      hammer_count = 0;
      end_scribblers();
      printf("calm reads=%llu writes=%llu lost=%llu corrupt=%llu\n", reads, writes, losses, corruptions);
    } else if (!strcmp(command, "scribble")) {
      start_scribblers(first);
      puts("scribble started");
    } else if (!strcmp(command, "reads")) printf("reads=%llu\n", reads);
    else if (!strcmp(command, "churn")) { churn(first); puts("churn done"); }
    else if (!strcmp(command, "flurry")) {
      flurrying = 1;
      for (parent_count = 0; parent_count < (int)first && parent_count < MOST_HAMMERS; parent_count++)
        pthread_create(&parents[parent_count], NULL, beget, NULL);
      puts("flurry started");
    } else if (!strcmp(command, "still")) {
      flurrying = 0;
      for (int i = 0; i < parent_count; i++) pthread_join(parents[i], NULL);
      parent_count = 0;
      printf("still born=%llu\n", born);
    } else if (!strcmp(command, "born")) {
      pthread_t thread;
      struct place place = {first, second};
      pthread_create(&thread, NULL, touch_once, &place);
      pthread_join(thread, NULL);
    } else if (!strcmp(command, "advise")) {
      const int advice[] = {MADV_DONTDUMP, MADV_MERGEABLE};
      for (int i = 0; i < 2; i++)
        if (madvise((void *)ram, pages * page_size, advice[i]) && advice[i] != MADV_MERGEABLE) die("madvise");
      puts("advise done");
    } else if (!strcmp(command, "hole")) {
      if (munmap((char *)ram + first * page_size + second, 4096)) die("munmap");
      puts("hole done");
    } else if (!strcmp(command, "inherit")) {
      if (madvise((void *)ram, pages * page_size, MADV_DOFORK)) die("madvise");
      puts("inherit done");
    } else if (!strcmp(command, "policy")) {
      unsigned long nodes = 1;
      if (syscall(SYS_mbind, ram, pages * page_size, first, &nodes, 2, 0)) die("mbind");
      puts("policy done");
    } else if (!strcmp(command, "optional")) send_optional(first, second);
    else if (!strcmp(command, "exec")) {
      char program[96];
      if (sscanf(line, "%*s %95s", program) == 1) execl(program, program, "3600", NULL);
      die("exec");
    } else if (!strcmp(command, "leave")) pthread_exit(NULL);
    else if (!strcmp(command, "handler")) {
      sigaction(SIGBUS, NULL, &action);
      printf("handler %s\n", action.sa_sigaction == on_bus_error ? "caught" : "default");
    } else if (!strcmp(command, "remap")) { remap(first); puts("remap done"); }
    else if (!strcmp(command, "plug")) { plug(first); puts("plug done"); }
    else if (!strcmp(command, "watch")) { watch(); puts("watch done"); }
    else if (!strcmp(command, "unwatch")) { close(watcher); puts("unwatch done"); }
    else if (!strcmp(command, "occupy")) printf("occupy %s\n", occupy(first));
    else if (!strcmp(command, "occupied")) printf("occupied %s\n", occupied(first));
    else if (!strcmp(command, "forbid")) { forbid_move(first); puts("forbid done"); }
    else if (!strcmp(command, "punch"))
      puts(fallocate(ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * page_size, page_size) ? "punch failed" : "punch done");
    else if (!strcmp(command, "forget")) { close(ram_fd); ram_fd = -1; puts("forget done"); }
    else if (!strcmp(command, "mend")) printf("mend %s\n", mend(first, second));
    else if (!strcmp(command, "quit")) return 0;
    else puts("unknown");
  }
  return 0;
}
