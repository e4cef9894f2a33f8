/* What a process does all day: computes, starts threads, gets signals. */
#ifndef WORK_H
#define WORK_H

#include <pthread.h>
#include <signal.h>
#include "clock.h"

static uint64_t spin(size_t rounds) {
  uint64_t state = 88172645463325252ull, before = now_ns();
  for (size_t i = 0; i < rounds; i++) random_next(&state);
  __asm__ volatile("" : : "r"(state));
  return now_ns() - before;
}

static void *nothing(void *argument) { return argument; }

static void start_and_join(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, nothing, NULL)) die("pthread_create");
  pthread_join(thread, NULL);
}

/* COUNT threads, started and joined one after the other, each followed by some work. */
static uint64_t churn(size_t count, size_t rounds) {
  uint64_t before = now_ns();
  for (size_t i = 0; i < count; i++) {
    start_and_join();
    spin(rounds);
  }
  return now_ns() - before;
}

static volatile sig_atomic_t received;
static void on_signal(int number) { (void)number; received++; }

/* COUNT signals to this thread, each handled before the next is sent, each followed by some work. */
static uint64_t signals(size_t count, size_t rounds) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  received = 0;
  uint64_t before = now_ns();
  for (size_t i = 0; i < count; i++) {
    raise(SIGUSR1);
    spin(rounds);
  }
  uint64_t after = now_ns();
  if ((size_t)received != count) die("signals went missing");
  return after - before;
}

#endif
