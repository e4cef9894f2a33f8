/*
 * Disk I/O of the guest program, straight from and to its block (O_DIRECT), checked.
 *
 *   disk DEVICE PAGE COUNT   disk started    one more worker: COUNT pages of the block from PAGE on, again and again: a new
 *                                            pattern into memory, memory to disk, rubbish into memory, disk to memory, compare
 *   disks [1]                disks workers=N rounds=N errors=N wrong=N lost=N    with 1: after ending all of them; their pages then
 *                                            hold the block's own pattern again
 *   send DEVICE PAGE COUNT   sent ok|failed  one write of these pages as they are, to the same place as above; the program itself
 *                                            touches none of them
 * `errors`: requests that failed, after which the round begins anew. `wrong`: rounds that read back something else than was written.
 * `lost`: workers that ended because memory of theirs was lost.
 */
#define _GNU_SOURCE
#include "checker.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 16 };

extern _Thread_local sigjmp_buf escape;
extern _Thread_local volatile int armed;

struct worker {
  pthread_t thread;
  char device[64];
  size_t page, count;
  int fd;
  /* Written by the worker only. */
  unsigned long rounds, errors, wrong, lost;
};

static struct worker workers[MOST];
static int running;
static volatile int stopping;

static uint64_t written(const struct worker *worker, size_t index, uint64_t round) {
  return pattern(worker->page + index / WORDS, index % WORDS) ^ (round * 0xd1342543de82ef95ULL);
}

/* One round. @return 0 done, 1 a request failed */
static int play(struct worker *worker, uint64_t round) {
  uint64_t *at = block + worker->page * WORDS;
  size_t words = worker->count * WORDS, bytes = worker->count * PAGE;
  off_t place = (off_t)(worker->page * PAGE);
  for (size_t i = 0; i < words; i++) at[i] = written(worker, i, round);
  if (pwrite(worker->fd, at, bytes, place) != (ssize_t)bytes) return 1;
  for (size_t i = 0; i < words; i++) at[i] = ~written(worker, i, round);
  if (pread(worker->fd, at, bytes, place) != (ssize_t)bytes) return 1;
  for (size_t i = 0; i < words; i++) {
    if (at[i] == written(worker, i, round)) continue;
    worker->wrong++;
    return 0;
  }
  return 0;
}

static void *work(void *argument) {
  struct worker *worker = argument;
  uint64_t *at = block + worker->page * WORDS;
  if (sigsetjmp(escape, 1)) {
    armed = 0;
    worker->lost = 1;
    return NULL;
  }
  armed = 1;
  for (uint64_t round = 1; !stopping; round++) {
    if (play(worker, round) == 0) worker->rounds++;
    else {
      worker->errors++;
      usleep(20000);
    }
  }
  for (size_t i = 0; i < worker->count * WORDS; i++) at[i] = pattern(worker->page + i / WORDS, i % WORDS);
  armed = 0;
  return NULL;
}

/* Takes the arguments and opens the device. @return 0, or -1 after having said why not */
static int prepare(struct worker *worker, const char *arguments) {
  if (sscanf(arguments, "%63s %zu %zu", worker->device, &worker->page, &worker->count) != 3 ||
      worker->page + worker->count > pages) {
    fprintf(port, "error disk|send DEVICE PAGE COUNT\n");
    return -1;
  }
  load_module("/virtio_blk.ko");
  for (int tries = 0; tries < 200; tries++) {
    worker->fd = open(worker->device, O_RDWR | O_DIRECT);
    if (worker->fd >= 0) return 0;
    usleep(20000);
  }
  fprintf(port, "error %s: %s\n", worker->device, strerror(errno));
  return -1;
}

void disk_send(const char *arguments) {
  struct worker one;
  if (prepare(&one, arguments) != 0) return;
  size_t bytes = one.count * PAGE;
  int done = pwrite(one.fd, block + one.page * WORDS, bytes, (off_t)(one.page * PAGE)) == (ssize_t)bytes;
  close(one.fd);
  fprintf(port, "sent %s\n", done ? "ok" : "failed");
}

void disk_start(const char *arguments) {
  struct worker *worker = &workers[running];
  if (running == MOST) {
    fprintf(port, "error at most %d workers\n", MOST);
    return;
  }
  if (prepare(worker, arguments) != 0) return;
  stopping = 0;
  worker->rounds = worker->errors = worker->wrong = worker->lost = 0;
  pthread_create(&worker->thread, NULL, work, worker);
  running++;
  fprintf(port, "disk started\n");
}

void disk_tell(int stop) {
  unsigned long rounds = 0, errors = 0, wrong = 0, lost = 0;
  int count = running;
  if (stop) {
    stopping = 1;
    for (int i = 0; i < running; i++) {
      pthread_join(workers[i].thread, NULL);
      close(workers[i].fd);
    }
    running = 0;
  }
  for (int i = 0; i < count; i++) {
    rounds += workers[i].rounds;
    errors += workers[i].errors;
    wrong += workers[i].wrong;
    lost += workers[i].lost;
  }
  fprintf(port, "disks workers=%d rounds=%lu errors=%lu wrong=%lu lost=%lu\n", count, rounds, errors, wrong, lost);
}
