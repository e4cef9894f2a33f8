/*
 * The process that is measured: RAM on large pages, errors in it, and for each number the same work in C to compare with. Everything is
 * timed here, by the thread that waits. Its memory is checked on the way: a number for wrong bytes is none.
 *
 *   measured PAGES [PAGE_SIZE [MAPPED]]      PAGES large pages that are used; MAPPED bytes of address space for all RAM
 *
 * Commands on standard input, one answer line each, "COMMAND NANOSECONDS…" or "COMMAND done":
 *   warm BYTES               have so much free memory ready
 *   strike K                 large page K goes bad and is touched: how long the touch takes (needs a guard)
 *   full K LOST              wait until all small pages of it but the one at LOST are there: how long that is since the touch
 *   remap K                  put the large page back
 *   copies K N               the large page read into a fresh, mapped memfd, N times
 *   request K N LOST SHARED PAUSED  the request's algorithm in C, N times, with 4 KiB at offset LOST lost; by a listener thread if PAUSED
 *   pieces K N PIECE FRESH   the whole large page read in pieces, N times
 *   missing K COUNT GAP LOST first touches of pages that are not there yet, GAP microseconds apart
 *   served K COUNT GAP       the same beside a server in C
 *   filled K N               how long that server takes to fill all when nobody touches it, N times
 *   order K N LOST           all words but those at LOST one after the other, N times
 *   random K N COUNT LOST    COUNT words here and there, N times
 *   check K LOST             reads every word but those at LOST; the answer is "done" or the process ends
 *   spin N ROUNDS            N pieces of work
 *   churn N ROUNDS           N threads, started and joined one after the other, each followed by work
 *   signals N ROUNDS         N signals, each handled and followed by work
 *   calibrate NS             rounds of `spin` that take about so long
 *   quit
 */
#define _GNU_SOURCE
#include "baselines.h"
#include "fault-server.h"
#include "work.h"

static uint64_t struck;

static uint64_t strike(size_t page) {
  poison(page);
  uint64_t before = struck = now_ns();
  int result = try_word(page * page_size / 8);
  uint64_t after = now_ns();
  if (result != 0) die(result == 1 ? "the page was not recovered" : "a wrong byte");
  return after - before;
}

static void check(size_t page, size_t lost) {
  for (size_t at = 0; at < page_size; at += 8) {
    size_t word = (page * page_size + at) / 8;
    if (at / SMALL_PAGE != lost / SMALL_PAGE && ram[word] != pattern(word)) die("a wrong byte");
  }
}

static size_t calibrate(uint64_t wanted) {
  uint64_t best = ~0ull;
  for (int i = 0; i < 20; i++) {
    uint64_t taken = spin(1000000);
    if (taken < best) best = taken;
  }
  return wanted * 1000000 / best;
}

#define IS(name) (strcmp(command, name) == 0)
#define TIMES(expression) for (size_t i = 0; i < a[1]; i++) answer("", expression)

static void obey(const char *command, const size_t a[5]) {
  printf("%s", command);
  if (IS("warm")) { warm(a[0]); printf(" done"); }
  else if (IS("strike")) answer("", strike(a[0]));
  else if (IS("full")) { wait_until_full(page_start(a[0]), a[1]); answer("", now_ns() - struck); }
  else if (IS("remap")) { remap(a[0]); printf(" done"); }
  else if (IS("request")) TIMES(request_once((struct request){a[0], a[2], (int)a[3]}, (int)a[4]));
  else if (IS("copies")) TIMES(copy_once(a[0]));
  else if (IS("pieces")) TIMES(read_once(a[0], a[2], (int)a[3]));
  else if (IS("missing")) touch_missing(page_start(a[0]), a[0], a[1], (unsigned)a[2], a[3]);
  else if (IS("served")) touch_served(a[0], a[1], (unsigned)a[2]);
  else if (IS("filled")) TIMES(touch_served(a[0], 0, 0));
  else if (IS("order")) TIMES(read_in_order(a[0], a[2]));
  else if (IS("random")) TIMES(read_at_random(a[0], a[2], a[3]));
  else if (IS("check")) { check(a[0], a[1]); printf(" done"); }
  else if (IS("spin")) for (size_t i = 0; i < a[0]; i++) answer("", spin(a[1]));
  else if (IS("churn")) for (size_t i = 0; i < a[0]; i++) answer("", churn(a[1]));
  else if (IS("signals")) for (size_t i = 0; i < a[0]; i++) answer("", signals(a[1]));
  else if (IS("calibrate")) answer("", calibrate(a[0]));
  else printf(" unknown");
  printf("\n");
}

/* As in QEMU the thread that works is not the first one: the guard borrows that for a recovery of a paused VM. */
static void *obey_all(void *argument) {
  (void)argument;
  char line[128], command[32];
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  while (fgets(line, sizeof line, stdin)) {
    size_t a[5] = {0};
    if (sscanf(line, "%31s %zu %zu %zu %zu %zu", command, &a[0], &a[1], &a[2], &a[3], &a[4]) < 1) continue;
    if (IS("quit")) break;
    obey(command, a);
  }
  return NULL;
}

int main(int count, char **words) {
  if (count < 2) return 2;
  size_t pages = strtoul(words[1], NULL, 0);
  size_t large = count > 2 ? strtoul(words[2], NULL, 0) : 2ul << 20;
  make_ram(pages, large, count > 3 ? strtoul(words[3], NULL, 0) : pages * large);
  setvbuf(stdout, NULL, _IOLBF, 1 << 16);
  printf("ready %d %p\n", getpid(), (void *)ram);
  pthread_t worker;
  if (pthread_create(&worker, NULL, obey_all, NULL)) die("pthread_create");
  pthread_join(worker, NULL);
  return 0;
}
