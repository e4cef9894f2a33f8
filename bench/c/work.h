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

/* A thread, started and joined, and some work. */
static uint64_t churn(size_t rounds) {
  uint64_t before = now_ns();
  pthread_t thread;
  if (pthread_create(&thread, NULL, nothing, NULL)) die("pthread_create");
  pthread_join(thread, NULL);
  spin(rounds);
  return now_ns() - before;
}

static volatile sig_atomic_t received;
static void on_signal(int number) { (void)number; received++; }

/* A signal to this thread, handled, and some work. */
static uint64_t signals(size_t rounds) {
  sig_atomic_t seen = received;
  uint64_t before = now_ns();
  raise(SIGUSR1);
  spin(rounds);
  uint64_t after = now_ns();
  if (received == seen) die("a signal went missing");
  return after - before;
}

#endif
