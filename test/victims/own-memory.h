/* A part of large-pages.c: memory beside its RAM, and who may do what with it. */
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* What it watches is touched from user mode only, and that needs no privilege. */
static int open_userfaultfd(uint64_t features) {
  int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (fd < 0) die("userfaultfd");
  struct uffdio_api api = {.api = UFFD_API, .features = features};
  if (ioctl(fd, UFFDIO_API, &api)) die("UFFDIO_API");
  return fd;
}

/* Advised differently, so that nobody takes it for a part of what was there before. */
static void plug(size_t page) {
  char *at = (char *)ram + page * page_size;
  int log2_size = page_size == 1u << 30 ? 30 : 21;
  int fd = memfd_create("plugged-ram", MFD_CLOEXEC | MFD_HUGETLB | (unsigned)log2_size << MAP_HUGE_SHIFT);
  if (fd < 0 || ftruncate(fd, page_size)) die("memfd");
  if (mmap(at, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != at) die("mmap");
  if (madvise(at, page_size, MADV_DONTFORK) || madvise(at, page_size, MADV_DONTDUMP)) die("madvise");
  fill(page);
}

static int watcher = -1;
static void watch(void) {
  watcher = open_userfaultfd(0);
  struct uffdio_register registration = {.range = {(uintptr_t)ram, pages * page_size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(watcher, UFFDIO_REGISTER, &registration)) die("UFFDIO_REGISTER");
}

enum { OWN_BYTES = 2 << 20 };
static const char *occupy(uintptr_t address) {
  volatile uint64_t *own = mmap((void *)address, OWN_BYTES, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (own == MAP_FAILED) return "taken";
  for (size_t word = 0; word < OWN_BYTES / 8; word++) own[word] = pattern(word);
  return "done";
}

static const char *occupied(uintptr_t address) {
  volatile uint64_t *own = (uint64_t *)address;
  for (size_t word = 0; word < OWN_BYTES / 8; word++) if (own[word] != pattern(word)) return "wrong";
  return "right";
}

/* For all threads. */
static void forbid_move(uint64_t address) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)address, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(address >> 32), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("PR_SET_NO_NEW_PRIVS");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter)) die("seccomp");
}

static void drop_privileges(void) {
  if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) die("setresuid");
}
