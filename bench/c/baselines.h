/* What a recovery is compared with: the same work in C, inside the process, with nobody else to ask. */
#ifndef BASELINES_H
#define BASELINES_H

#include <pthread.h>
#include <semaphore.h>
#include "memory.h"

/*
 * The algorithm of the request for QEMU: unmap the large page, map small pages in its place, read them back 4 KiB by 4 KiB, mark the
 * lost one. MADV_HWPOISON takes CONFIG_MEMORY_FAILURE; the marker is as quick. `shared` as the file was, or private, which is quicker.
 */
struct request { size_t page, lost; int shared; };

static void replace_as_requested(struct request asked) {
  char *base = page_start(asked.page);
  if (munmap(base, page_size)) die("munmap");
  int flags = MAP_FIXED | MAP_ANONYMOUS | (asked.shared ? MAP_SHARED : MAP_PRIVATE);
  if (mmap(base, page_size, PROT_READ | PROT_WRITE, flags, -1, 0) != base) die("mmap");
  for (size_t at = 0; at < page_size; at += SMALL_PAGE)
    if (at != asked.lost && pread(ram_fd, base + at, SMALL_PAGE, asked.page * page_size + at) != (ssize_t)SMALL_PAGE) die("pread");
  mark_lost(base + asked.lost, SMALL_PAGE);
}

/*
 * The request lets a listener thread do that while the VM is paused, because memory cannot be mapped in a signal handler, and KVM must not
 * run into a hole. Here the VM is one thread: it tells of its error, stands still, and goes on when the listener has done. All that QEMU
 * does besides is left out, in the request's favour: the signal, other virtual CPUs, the drain of disk I/O, all who are told of the pause.
 */
static sem_t error_told, vm_paused, vm_resumed;
static struct request told;

static void *listen_for_errors(void *argument) {
  (void)argument;
  for (;;) {
    while (sem_wait(&error_told)) {}
    while (sem_wait(&vm_paused)) {}
    replace_as_requested(told);
    sem_post(&vm_resumed);
  }
  return NULL;
}

static void replace_while_paused(struct request asked) {
  static pthread_t listener;
  if (listener == 0) {
    if (sem_init(&error_told, 0, 0) || sem_init(&vm_paused, 0, 0) || sem_init(&vm_resumed, 0, 0)) die("sem_init");
    if (pthread_create(&listener, NULL, listen_for_errors, NULL)) die("pthread_create");
  }
  told = asked;
  sem_post(&error_told);
  sem_post(&vm_paused);
  while (sem_wait(&vm_resumed)) {}
}

static uint64_t request_once(struct request asked, int paused) {
  uint64_t before = now_ns();
  if (paused) replace_while_paused(asked);
  else replace_as_requested(asked);
  if (try_word(asked.page * page_size / 8) != 0) die("the replacement");
  uint64_t after = now_ns();
  remap(asked.page);
  return after - before;
}

/* No more than the bytes: the large page read by pread into a fresh, mapped memfd. */
static uint64_t copy_once(size_t page) {
  uint64_t before = now_ns();
  int file = memfd_create("copy", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, page_size)) die("memfd");
  char *to = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (to == MAP_FAILED) die("mmap");
  for (size_t done = 0; done < page_size;) {
    ssize_t got = pread(ram_fd, to + done, page_size - done, page * page_size + done);
    if (got <= 0) die("pread");
    done += got;
  }
  uint64_t after = now_ns();
  munmap(to, page_size);
  close(file);
  return after - before;
}

/* The whole large page in pieces, into memory that was never touched (as a replacement is), or into one piece again and again. */
static uint64_t read_once(size_t page, size_t piece, int fresh) {
  size_t room = fresh ? page_size : piece;
  char *to = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (to == MAP_FAILED) die("mmap");
  if (!fresh) for (size_t at = 0; at < room; at += SMALL_PAGE) to[at] = 1;
  uint64_t before = now_ns();
  for (size_t at = 0; at < page_size; at += piece)
    if (pread(ram_fd, fresh ? to + at : to, piece, page * page_size + at) != (ssize_t)piece) die("pread");
  uint64_t after = now_ns();
  munmap(to, room);
  return after - before;
}

/* All words but those of the lost 4 KiB, one after the other. */
static uint64_t read_in_order(size_t page, size_t lost) {
  const uint64_t *from = (const uint64_t *)page_start(page), *end = from + page_size / 8, *gap = from + lost / 8;
  uint64_t before = now_ns(), sum = 0;
  for (; from < gap; from++) sum += *from;
  for (from = gap + SMALL_PAGE / 8; from < end; from++) sum += *from;
  uint64_t after = now_ns();
  __asm__ volatile("" : : "r"(sum));
  return after - before;
}

/* Words here and there, each address known only when the word before has been read. @returns ns for all of them */
static uint64_t read_at_random(size_t page, size_t count, size_t lost) {
  size_t first = page * page_size / 8, words = page_size / 8;
  uint64_t state = 88172645463325252ull;
  uint64_t before = now_ns();
  for (size_t i = 0; i < count; i++) {
    size_t word = random_next(&state) % words;
    if (word * 8 / SMALL_PAGE == lost / SMALL_PAGE) word += SMALL_PAGE / 8;
    /* The pattern is odd: no state is ever zero. */
    state ^= ram[first + word] << 1;
  }
  return now_ns() - before;
}

#endif
