/*
 * The lazy recovery's fault server in C, in a process of its own, as the guard is one, and with the guard's own rules: one thread gives whoever
 * waits 4 KiB at once, and does nothing else; another fills the rest meanwhile in pieces, from there on. What is in place they share.
 */
#ifndef FAULT_SERVER_H
#define FAULT_SERVER_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "memory.h"

struct server { int fd; char *region; _Atomic unsigned char *done; size_t page; _Atomic size_t missing, next; };

#define PIECE 65536ul
#define NOWHERE (~0ul)

static void note_present(struct server *server, size_t at) {
  if (!atomic_exchange(&server->done[at / SMALL_PAGE], 1)) atomic_fetch_sub(&server->missing, 1);
}

/* The other thread may have put any of it in place; it wakes who waits for that at the end of its piece only. */
static void place(struct server *server, char *buffer, size_t at, size_t size) {
  if (pread(ram_fd, buffer, size, server->page * page_size + at) != (ssize_t)size) die("pread");
  for (size_t done = 0; done < size;) {
    uintptr_t to = (uintptr_t)server->region + at + done;
    struct uffdio_copy copy = {.dst = to, .src = (uintptr_t)buffer + done, .len = size - done};
    size_t step = size - done;
    if (ioctl(server->fd, UFFDIO_COPY, &copy)) {
      step = copy.copy > 0 ? (size_t)copy.copy : SMALL_PAGE;
      if (copy.copy <= 0 && errno != EEXIST) die("UFFDIO_COPY");
      struct uffdio_range range = {.start = to, .len = SMALL_PAGE};
      if (copy.copy <= 0 && ioctl(server->fd, UFFDIO_WAKE, &range)) die("UFFDIO_WAKE");
    }
    for (size_t page = 0; page < step; page += SMALL_PAGE) note_present(server, at + done + page);
    done += step;
  }
}

static void *answer_faults(void *argument) {
  struct server *server = argument;
  char *buffer = aligned_alloc(SMALL_PAGE, SMALL_PAGE);
  struct uffd_msg messages[16];
  struct pollfd ready = {.fd = server->fd, .events = POLLIN};
  for (;;) {
    if (poll(&ready, 1, -1) < 0) die("poll");
    ssize_t got = read(server->fd, messages, sizeof messages);
    if (got < 0 && errno != EAGAIN) die("a fault");
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *messages; i++) {
      size_t at = (messages[i].arg.pagefault.address - (uintptr_t)server->region) / SMALL_PAGE * SMALL_PAGE;
      place(server, buffer, at, SMALL_PAGE);
      server->next = at / SMALL_PAGE + 1;
    }
  }
  return NULL;
}

static void serve(struct server *server) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  size_t count = page_size / SMALL_PAGE, cursor = 0;
  char *buffer = aligned_alloc(SMALL_PAGE, PIECE);
  server->missing = count;
  server->next = NOWHERE;
  server->done = calloc(count, 1);
  pthread_t answering;
  if (pthread_create(&answering, NULL, answer_faults, server)) die("pthread_create");
  while (server->missing > 0) {
    size_t next = atomic_exchange(&server->next, NOWHERE), run = 0;
    if (next != NOWHERE) cursor = next;
    const unsigned char *done = (const unsigned char *)server->done, *first = memchr(done + cursor, 0, count - cursor);
    if (first == NULL) first = memchr(done, 0, count);
    if (first == NULL) continue;
    size_t from = (size_t)(first - done);
    while (run < PIECE / SMALL_PAGE && from + run < count && !server->done[from + run]) run++;
    cursor = from + run;
    place(server, buffer, from * SMALL_PAGE, run * SMALL_PAGE);
  }
  _exit(0);
}

static int is_present(char *at) {
  unsigned char there = 0;
  if (mincore(at, SMALL_PAGE, &there)) die("mincore");
  return there & 1;
}

/* Waits until all small pages but the lost one are there, as the page table says it. */
static void wait_until_full(char *region, size_t lost) {
  size_t count = page_size / SMALL_PAGE;
  unsigned char *there = malloc(count);
  for (size_t at = 0; at < count;) {
    if (mincore(region, page_size, there)) die("mincore");
    for (at = 0; at < count && ((there[at] & 1) || at == lost / SMALL_PAGE); at++) ;
    if (at < count) usleep(2000);
  }
  free(there);
}

/*
 * First touches of small pages that are not there yet, `count` at most, GAP microseconds apart; fewer when there are no more.
 * A page is left out when it is `lost`.
 */
static void touch_missing(char *region, size_t source, size_t count, unsigned gap, size_t lost) {
  uint64_t state = now_ns() | 1;
  for (size_t tries = 0; count > 0 && tries < 1000; tries++) {
    size_t at = random_next(&state) % page_size / SMALL_PAGE * SMALL_PAGE;
    if (at == lost || is_present(region + at)) continue;
    uint64_t before = now_ns();
    uint64_t value = *(volatile uint64_t *)(region + at);
    answer("", now_ns() - before);
    if (value != pattern((source * page_size + at) / 8)) die("a wrong byte");
    count--;
    tries = 0;
    if (gap > 0) usleep(gap);
  }
}

static char *watched_region(struct server *server) {
  server->region = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (server->region == MAP_FAILED) die("mmap");
  server->fd = open_userfaultfd();
  fcntl(server->fd, F_SETFL, O_NONBLOCK);
  watch_missing(server->fd, server->region, page_size);
  return server->region;
}

/* Touches COUNT missing pages beside a server in C. @returns ns until it has filled all */
static uint64_t touch_served(size_t page, size_t count, unsigned gap) {
  struct server server = {.page = page};
  char *region = watched_region(&server);
  fflush(stdout);
  uint64_t before = now_ns();
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) serve(&server);
  touch_missing(region, page, count, gap, page_size);
  int status = 1;
  if (waitpid(child, &status, 0) != child || status != 0) die("the server");
  uint64_t after = now_ns();
  close(server.fd);
  munmap(region, page_size);
  return after - before;
}

#endif
