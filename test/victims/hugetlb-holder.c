/*
 * A process that maps large pages and holds whatever else it is asked for, until its standard input ends.
 * It dies with its parent.
 *
 *   hugetlb-holder PAGES shared|private [OPTION…]
 *     map=PATH        map this file instead of a new memfd (for a second process on the same pages)
 *     odirect=PATH    open PATH with O_DIRECT
 *     aio io_uring    hold an asynchronous I/O context, an io_uring
 *     watch           register the pages with a userfaultfd
 *     lock            mlock one ordinary page
 *     dontdump        MADV_DONTDUMP on the large pages
 *     seccomp         run behind a filter that allows everything
 *     traced          be traced by a child process
 *
 * Prints one line when all is in place: START FD, START hexadecimal. Touches the first large page only.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE_PAGE (2ul << 20)

static void must(int good, const char *what) {
  if (good) return;
  perror(what);
  exit(1);
}

static void watch(char *start, size_t size) {
  int fd = syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC);
  must(fd >= 0, "userfaultfd");
  struct uffdio_api api = {.api = UFFD_API};
  must(ioctl(fd, UFFDIO_API, &api) == 0, "UFFDIO_API");
  struct uffdio_register range = {.range = {(unsigned long)start, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  must(ioctl(fd, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
}

static void confine(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = 1, .filter = &allow};
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
  must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "PR_SET_SECCOMP");
}

static void be_traced(void) {
  int done[2];
  char byte = 0;
  must(pipe(done) == 0, "pipe");
  pid_t parent = getpid();
  pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(ptrace(PTRACE_SEIZE, parent, 0, 0) == 0, "PTRACE_SEIZE");
    must(write(done[1], &byte, 1) == 1, "write");
    for (;;) pause();
  }
  close(done[1]);
  must(read(done[0], &byte, 1) == 1, "the tracer");
}

int main(int count, char **words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  must(count >= 3, "usage: hugetlb-holder PAGES shared|private [OPTION...]");
  size_t size = strtoul(words[1], NULL, 10) * LARGE_PAGE;
  int shared = strcmp(words[2], "shared") == 0;
  int fd = -1;
  for (int i = 3; i < count; i++)
    if (strncmp(words[i], "map=", 4) == 0) must((fd = open(words[i] + 4, O_RDWR)) >= 0, words[i]);
  if (fd < 0) {
    fd = memfd_create("test ram", MFD_HUGETLB);
    must(fd >= 0 && ftruncate(fd, size) == 0, "memfd_create");
  }
  char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
  must(start != MAP_FAILED, "mmap");
  must(madvise(start, size, MADV_DONTFORK) == 0, "MADV_DONTFORK");
  start[0] = 1;
  for (int i = 3; i < count; i++) {
    char *word = words[i];
    if (strncmp(word, "map=", 4) == 0) continue;
    if (strncmp(word, "odirect=", 8) == 0) {
      must(open(word + 8, O_RDONLY | O_DIRECT) >= 0, word);
    } else if (strcmp(word, "aio") == 0) {
      aio_context_t context = 0;
      must(syscall(SYS_io_setup, 4, &context) == 0, word);
    } else if (strcmp(word, "io_uring") == 0) {
      char parameters[120] = {0};
      must(syscall(SYS_io_uring_setup, 4, parameters) >= 0, word);
    } else if (strcmp(word, "watch") == 0) {
      watch(start, size);
    } else if (strcmp(word, "lock") == 0) {
      void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      must(page != MAP_FAILED && mlock(page, 4096) == 0, word);
    } else if (strcmp(word, "dontdump") == 0) {
      must(madvise(start, size, MADV_DONTDUMP) == 0, word);
    } else if (strcmp(word, "seccomp") == 0) {
      confine();
    } else if (strcmp(word, "traced") == 0) {
      be_traced();
    } else {
      fprintf(stderr, "unknown option %s\n", word);
      return 1;
    }
  }
  printf("%lx %d\n", (unsigned long)start, fd);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  return 0;
}
