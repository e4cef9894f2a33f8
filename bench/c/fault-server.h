/*
 * The lazy recovery's fault server in C, in a process of its own, as the guard is one: the region is registered for missing pages, each
 * fault is answered with what pread(2) gives around it, and a second thread copies the rest meanwhile.
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

struct server { int fd; char *region; size_t page, piece, fill; atomic_ullong filled_ns; };

/* A piece that another has filled in part is copied page by page. */
static void copy_piece(struct server *server, char *buffer, size_t at, size_t size) {
  if (pread(ram_fd, buffer, size, server->page * page_size + at) != (ssize_t)size) die("pread");
  for (size_t done = 0; done < size;) {
    struct uffdio_copy copy = {.dst = (uintptr_t)server->region + at + done, .src = (uintptr_t)buffer + done, .len = size - done};
    if (ioctl(server->fd, UFFDIO_COPY, &copy) == 0) return;
    if (copy.copy > 0) done += copy.copy;
    else if (errno == EEXIST) {
      struct uffdio_range range = {(uintptr_t)server->region + at + done, SMALL_PAGE};
      ioctl(server->fd, UFFDIO_WAKE, &range);
      done += SMALL_PAGE;
    } else if (errno != EAGAIN) die("UFFDIO_COPY");
  }
}

static void *fill_rest(void *argument) {
  struct server *server = argument;
  char *buffer = aligned_alloc(SMALL_PAGE, server->fill);
  uint64_t before = now_ns();
  for (size_t at = 0; at < page_size; at += server->fill) copy_piece(server, buffer, at, server->fill);
  server->filled_ns = now_ns() - before;
  return NULL;
}

static void serve(struct server *server) {
  char *buffer = aligned_alloc(SMALL_PAGE, server->piece);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pthread_t filler;
  if (server->fill > 0) pthread_create(&filler, NULL, fill_rest, server);
  for (;;) {
    struct uffd_msg message;
    ssize_t got = read(server->fd, &message, sizeof message);
    if (got != sizeof message || message.event != UFFD_EVENT_PAGEFAULT) die("fault");
    size_t at = (message.arg.pagefault.address - (uintptr_t)server->region) / server->piece * server->piece;
    copy_piece(server, buffer, at, server->piece);
  }
}

static int is_present(char *at) {
  unsigned char there = 0;
  if (mincore(at, SMALL_PAGE, &there)) die("mincore");
  return there & 1;
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

/* Touches COUNT missing pages beside a server in C. */
static void touch_served(size_t page, size_t piece, size_t fill, size_t count, unsigned gap) {
  char *region = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) die("mmap");
  struct server server = {.fd = open_userfaultfd(), .region = region, .page = page, .piece = piece, .fill = fill};
  watch_missing(server.fd, region, page_size);
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) serve(&server);
  touch_missing(region, page, count, gap, page_size);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(server.fd);
  munmap(region, page_size);
}

#endif
