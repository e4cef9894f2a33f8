/*
 * The lazy recovery's fault server in C, in a process of its own, as the guard is one, and with the guard's own rules: whoever waits gets
 * 4 KiB at once; the rest is filled meanwhile in pieces, from there on, and in small ones while more faults are likely.
 */
#ifndef FAULT_SERVER_H
#define FAULT_SERVER_H

#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "memory.h"

struct server { int fd; char *region, *buffer, *done; size_t page, cursor, missing; uint64_t last_fault; };

#define PIECE 65536ul
#define SMALL_PIECE 16384ul
#define CAREFUL_NS 2000000ull

/* Nobody but this server fills the region. */
static void place(struct server *server, size_t at, size_t size) {
  if (pread(ram_fd, server->buffer, size, server->page * page_size + at) != (ssize_t)size) die("pread");
  struct uffdio_copy copy = {.dst = (uintptr_t)server->region + at, .src = (uintptr_t)server->buffer, .len = size};
  if (ioctl(server->fd, UFFDIO_COPY, &copy)) die("UFFDIO_COPY");
  memset(server->done + at / SMALL_PAGE, 1, size / SMALL_PAGE);
  server->missing -= size / SMALL_PAGE;
}

static void answer_faults(struct server *server) {
  struct uffd_msg messages[16];
  ssize_t got = read(server->fd, messages, sizeof messages);
  if (got < 0 && errno != EAGAIN) die("a fault");
  for (ssize_t i = 0; i < got / (ssize_t)sizeof *messages; i++) {
    size_t at = (messages[i].arg.pagefault.address - (uintptr_t)server->region) / SMALL_PAGE * SMALL_PAGE;
    if (!server->done[at / SMALL_PAGE]) place(server, at, SMALL_PAGE);
    server->cursor = at / SMALL_PAGE + 1;
    server->last_fault = now_ns();
  }
}

static void fill_next(struct server *server) {
  char *end = server->done + page_size / SMALL_PAGE, *first = memchr(server->done + server->cursor, 0, end - server->done - server->cursor);
  if (first == NULL) first = memchr(server->done, 0, end - server->done);
  size_t most = (now_ns() - server->last_fault < CAREFUL_NS ? SMALL_PIECE : PIECE) / SMALL_PAGE, count = 0;
  while (count < most && first + count < end && !first[count]) count++;
  server->cursor = first - server->done + count;
  place(server, (first - server->done) * SMALL_PAGE, count * SMALL_PAGE);
}

static void serve(struct server *server) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  server->buffer = aligned_alloc(SMALL_PAGE, PIECE);
  server->missing = page_size / SMALL_PAGE;
  server->done = calloc(server->missing, 1);
  while (server->missing > 0) {
    answer_faults(server);
    if (server->missing > 0) fill_next(server);
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
