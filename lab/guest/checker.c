/*
 * The guest program: process 1 of the victim VM (L2). It owns a block of memory filled with a pattern that depends on the
 * address, and tells honestly what is left of it. Commands come in, and answers go out, on a virtio-serial port, one line each;
 * the kernel's own console is the virtio console beside it (a UART costs 0.25 ms a character under nested emulation).
 *
 *   fill MIB          filled PAGES
 *   large             large GPA:INDEX ...      2 MiB-aligned guest-physical ranges that lie wholly inside the block
 *   gpa INDEX...      gpa GPA ...
 *   touch INDEX       touched ok|lost|corrupt  reads one page
 *   store INDEX       stored ok|lost           writes the page's own pattern again
 *   peek OFFSET       peeked ok|lost|corrupt   reads one byte of the block
 *   poke OFFSET       poked ok|lost            writes that byte's own value again
 *   check [THREADS [SKIP]]   checked ok=N lost=N corrupt=N sigbus=N gpas=GPA+PAGES,...      SKIP: index of a page not to be touched
 *   poll SECONDS      polling SECONDS          how often the kernel looks for machine checks that came without an exception
 *   disk, disks, send disk I/O under load       (checker-disk.c)
 *   net, nets         network traffic           (checker-net.c)
 *   mce [1]           mce exceptions=N reports=N gpas=GPA,...   machine checks the guest took, and the pages its kernel was told of
 *                     (with 1: first the kernel's own lines, each as `kmsg LINE`)
 *   alive             alive UPTIME-SECONDS
 * Pages are touched from user space only: a poisoned page read by a guest kernel is a panic by the hardware's own rules.
 */
#define _GNU_SOURCE
#include "checker.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { OK, LOST, CORRUPT };

uint64_t *block;
size_t pages;
static uint64_t *gpas;
static unsigned char *verdict;
_Thread_local sigjmp_buf escape;
_Thread_local volatile int armed;
static int signals;
static size_t skipped = (size_t)-1;
FILE *port;

static void on_bus(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  __atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
  if (armed) siglongjmp(escape, 1);
}

uint64_t pattern(size_t page, size_t word) {
  return (((uint64_t)page << 12) + word * 8 + 1) * 0x9e3779b97f4a7c15ULL;
}

static int check_page(size_t page) {
  const volatile uint64_t *at = block + page * WORDS;
  int result = OK;
  if (sigsetjmp(escape, 1)) {
    armed = 0;
    return LOST;
  }
  armed = 1;
  for (size_t w = 0; w < WORDS; w++)
    if (at[w] != pattern(page, w)) result = CORRUPT;
  armed = 0;
  return result;
}

static int store_page(size_t page) {
  volatile uint64_t *at = block + page * WORDS;
  if (sigsetjmp(escape, 1)) {
    armed = 0;
    return LOST;
  }
  armed = 1;
  for (size_t w = 0; w < WORDS; w++) at[w] = pattern(page, w);
  armed = 0;
  return OK;
}

/* One byte, read or written: the access that finds the error may hit any byte of a large page. */
static int one_byte(size_t offset, int write) {
  volatile unsigned char *at = (volatile unsigned char *)block + offset;
  uint64_t word = pattern(offset / PAGE, offset % PAGE / 8);
  unsigned char want = (unsigned char)(word >> offset % 8 * 8);
  volatile int result = OK;
  if (sigsetjmp(escape, 1)) {
    armed = 0;
    return LOST;
  }
  armed = 1;
  if (write) *at = want;
  else if (*at != want) result = CORRUPT;
  armed = 0;
  return result;
}

static void fill(size_t mib) {
  size_t bytes = mib << 20;
  char *raw = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) {
    fprintf(port, "error mmap\n");
    return;
  }
  block = (uint64_t *)(((uintptr_t)raw + LARGE - 1) & ~(uintptr_t)(LARGE - 1));
  /* Physically contiguous, so that one large page of the host is wholly ours and no guest kernel data shares it. */
  madvise(block, bytes, MADV_HUGEPAGE);
  pages = bytes / PAGE;
  gpas = calloc(pages, sizeof *gpas);
  verdict = calloc(pages, 1);
  for (size_t p = 0; p < pages; p++)
    for (size_t w = 0; w < WORDS; w++) block[p * WORDS + w] = pattern(p, w);
  int fd = open("/proc/self/pagemap", O_RDONLY);
  for (size_t p = 0; p < pages; p++) {
    uint64_t entry = 0;
    if (pread(fd, &entry, 8, (off_t)(((uintptr_t)block / PAGE + p) * 8)) == 8 && entry >> 63)
      gpas[p] = (entry & ((1ULL << 55) - 1)) * PAGE;
  }
  close(fd);
  fprintf(port, "filled %zu\n", pages);
}

static void list_large(void) {
  fprintf(port, "large");
  for (size_t p = 0; p + 512 <= pages; p++) {
    if (gpas[p] == 0 || gpas[p] % LARGE != 0) continue;
    size_t run = 1;
    while (run < 512 && gpas[p + run] == gpas[p] + run * PAGE) run++;
    if (run == 512) fprintf(port, " 0x%" PRIx64 ":%zu", gpas[p], p);
  }
  fprintf(port, "\n");
}

struct part {
  pthread_t thread;
  int number, of;
};

static void *check_part(void *argument) {
  struct part *part = argument;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET((size_t)part->number, &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
  for (size_t p = (size_t)part->number; p < pages; p += (size_t)part->of)
    if (p != skipped) verdict[p] = (unsigned char)check_page(p);
  return NULL;
}

static void check(int threads) {
  struct part parts[8];
  size_t count[3] = {0, 0, 0};
  if (skipped < pages) verdict[skipped] = OK;
  if (threads < 1) threads = 1;
  if (threads > 8) threads = 8;
  signals = 0;
  for (int i = 0; i < threads; i++) {
    parts[i].number = i;
    parts[i].of = threads;
    pthread_create(&parts[i].thread, NULL, check_part, &parts[i]);
  }
  for (int i = 0; i < threads; i++) pthread_join(parts[i].thread, NULL);
  for (size_t p = 0; p < pages; p++) count[verdict[p]]++;
  fprintf(port, "checked ok=%zu lost=%zu corrupt=%zu sigbus=%d gpas=", count[OK], count[LOST], count[CORRUPT], signals);
  for (size_t p = 0; p < pages;) {
    size_t run = 1;
    if (verdict[p] != LOST) {
      p++;
      continue;
    }
    while (p + run < pages && verdict[p + run] == LOST && gpas[p + run] == gpas[p] + run * PAGE) run++;
    fprintf(port, "0x%" PRIx64 "+%zu,", gpas[p], run);
    p += run;
  }
  fprintf(port, "\n");
}

/* How often vCPUs took a machine check exception, from the kernel's own counter (arch/x86/kernel/irq.c). */
static long exceptions(void) {
  char line[512];
  long sum = 0;
  FILE *file = fopen("/proc/interrupts", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *at = strstr(line, "MCE:");
    if (at == NULL) continue;
    at += 4;
    for (;;) {
      char *end;
      long n = strtol(at, &end, 10);
      if (end == at) break;
      sum += n;
      at = end;
    }
  }
  if (file != NULL) fclose(file);
  return sum;
}

/* Every line of the kernel log that belongs to a memory error, from the start of the ring. */
static void machine_checks(int verbose) {
  static char record[8192];
  long reports = 0, printed = 0;
  uint64_t addresses[64];
  size_t known = 0;
  int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  ssize_t n;
  if (fd < 0) {
    fprintf(port, "error kmsg\n");
    return;
  }
  lseek(fd, 0, SEEK_SET);
  while ((n = read(fd, record, sizeof record - 1)) > 0 || n < 0) {
    if (n < 0) break;
    record[n] = 0;
    char *text = strchr(record, ';');
    char *end = strchr(record, '\n');
    if (text == NULL) continue;
    if (end != NULL) *end = 0;
    text++;
    if (strstr(text, "mce:") == NULL && strstr(text, "Memory failure") == NULL && strstr(text, "Hardware Error") == NULL &&
        strstr(text, "MCE") == NULL)
      continue;
    if (verbose && printed++ < 60) fprintf(port, "kmsg %s\n", text);
    char *at = strstr(text, "Memory failure: 0x");
    if (at == NULL) continue;
    uint64_t address = strtoull(at + 16, NULL, 16) * PAGE;
    size_t i = 0;
    while (i < known && addresses[i] != address) i++;
    if (i == known && known < 64) addresses[known++] = address;
    reports++;
  }
  close(fd);
  fprintf(port, "mce exceptions=%ld reports=%ld gpas=", exceptions(), reports);
  for (size_t i = 0; i < known; i++) fprintf(port, "0x%" PRIx64 ",", addresses[i]);
  fprintf(port, "\n");
}

/* The kernel's own default is five minutes (arch/x86/kernel/cpu/mce/core.c, check_interval). */
static void poll_banks(size_t seconds) {
  FILE *file = fopen("/sys/devices/system/machinecheck/machinecheck0/check_interval", "w");
  if (file == NULL || fprintf(file, "%zu", seconds) < 0 || fclose(file) != 0) fprintf(port, "error check_interval\n");
  else fprintf(port, "polling %zu\n", seconds);
}

static void command(char *line) {
  if (strncmp(line, "disk ", 5) == 0) return disk_start(line + 5);
  if (strncmp(line, "send ", 5) == 0) return disk_send(line + 5);
  if (strncmp(line, "net ", 4) == 0) return net_start(line + 4);
  char *word = strtok(line, " \r\n");
  char *next = strtok(NULL, " \r\n");
  char *last = strtok(NULL, " \r\n");
  size_t number = next == NULL ? 0 : strtoul(next, NULL, 0);
  static const char *names[] = {"ok", "lost", "corrupt"};
  if (word == NULL) return;
  if (strcmp(word, "fill") == 0) fill(number);
  else if (strcmp(word, "large") == 0) list_large();
  else if (strcmp(word, "check") == 0) {
    skipped = last == NULL ? (size_t)-1 : strtoul(last, NULL, 0);
    check((int)number);
  } else if (strcmp(word, "poll") == 0) poll_banks(number);
  else if (strcmp(word, "disks") == 0) disk_tell((int)number);
  else if (strcmp(word, "nets") == 0) net_tell((int)number);
  else if (strcmp(word, "mce") == 0) machine_checks((int)number);
  else if (strcmp(word, "alive") == 0) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    fprintf(port, "alive %ld\n", (long)now.tv_sec);
  } else if (strcmp(word, "peek") == 0 && number < pages * PAGE) fprintf(port, "peeked %s\n", names[one_byte(number, 0)]);
  else if (strcmp(word, "poke") == 0 && number < pages * PAGE) fprintf(port, "poked %s\n", names[one_byte(number, 1)]);
  else if (number >= pages) fprintf(port, "error %s: no such page or command\n", word);
  else if (strcmp(word, "gpa") == 0) fprintf(port, "gpa 0x%" PRIx64 "\n", gpas[number]);
  else if (strcmp(word, "touch") == 0) fprintf(port, "touched %s\n", names[check_page(number)]);
  else if (strcmp(word, "store") == 0) fprintf(port, "stored %s\n", names[store_page(number)]);
  else fprintf(port, "error unknown command %s\n", word);
}

/* The kernel then tells QEMU of a panic, which the harness sees as the event GUEST_PANICKED. */
void load_module(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) fprintf(stderr, "checker: cannot load %s\n", path);
  if (fd >= 0) close(fd);
}

/*
 * The kernel prints five emergency lines for each machine check, 10 ms each here: 512 of them would take half a minute. They stay
 * readable in /dev/kmsg.
 */
static void quiet_console(void) {
  int fd = open("/proc/sys/kernel/printk", O_WRONLY);
  if (fd < 0 || write(fd, "0 4 0 7", 7) != 7) fprintf(stderr, "checker: the console stays loud\n");
  if (fd >= 0) close(fd);
}

int main(void) {
  char line[256];
  mkdir("/proc", 0755);
  mkdir("/dev", 0755);
  mkdir("/sys", 0755);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  glob_t found; /* vportNp1: the virtio-serial port beside the console; it appears a little after its controller */
  int fd = -1;
  for (int tries = 0; tries < 500 && fd < 0; tries++) {
    if (glob("/dev/vport*p1", 0, NULL, &found) == 0) fd = open(found.gl_pathv[0], O_RDWR);
    globfree(&found);
    if (fd < 0) usleep(20000);
  }
  if (fd < 0) return 1;
  FILE *in = fdopen(fd, "r");
  port = fdopen(dup(fd), "w");
  load_module("/pvpanic.ko");
  load_module("/pvpanic-pci.ko");
  quiet_console();
  struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  fprintf(port, "ready\n");
  fflush(port);
  for (;;) {
    if (fgets(line, sizeof line, in) == NULL) {
      clearerr(in); /* nobody is connected */
      usleep(100000);
      continue;
    }
    command(line);
    fflush(port);
  }
}
