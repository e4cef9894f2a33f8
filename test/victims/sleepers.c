/*
 * Threads that sleep uninterruptibly, the main thread among them: each has made a child with vfork(2) that does not go on. One
 * more thread has a timer and tells how late it was.
 *
 *   sleepers THREADS MILLISECONDS    how many sleep beside the main thread, and the period of the timer
 *
 * Commands on standard input, one answer line each:
 *   gap      "gap beats=… largest=…": signals of the timer since the last "gap", and the longest time between two, in microseconds
 *   wake     lets all of them go on: "wake done"
 *   quit
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#define BEAT (SIGRTMIN + 1)

static int sleepers = 3, period_ms = 20, gate[2];
static atomic_long beats, last_us, largest_us;
static atomic_int serving, woken;

static void die(const char *what) { perror(what); exit(1); }

static long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_beat(int number) {
  (void)number;
  long now = now_us(), gap = now - last_us;
  if (gap > largest_us) largest_us = gap;
  last_us = now;
  beats++;
}

static void on_bus(int number) { (void)number; }

/* The child has our memory: it only makes system calls until its end. */
static void sleep_in_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(0); close(1); close(2);
    _exit(read(gate[0], &byte, 1) == 1 ? 0 : 1);
  }
  if (child > 0) waitpid(child, NULL, 0);
  woken++;
}

static void *run_sleeper(void *argument) {
  (void)argument;
  sleep_in_vfork();
  for (;;) pause();
  return NULL;
}

static void *run_beat(void *argument) {
  (void)argument;
  sigset_t beat;
  sigemptyset(&beat);
  sigaddset(&beat, BEAT);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = BEAT};
  event.sigev_notify_thread_id = gettid();
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) die("timer_create");
  last_us = now_us();
  struct itimerspec period = {.it_interval = {0, period_ms * 1000000L}, .it_value = {0, period_ms * 1000000L}};
  timer_settime(timer, 0, &period, NULL);
  pthread_sigmask(SIG_UNBLOCK, &beat, NULL);
  for (;;) pause();
  return NULL;
}

static void *serve(void *argument) {
  (void)argument;
  char line[64];
  serving = 1;
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "gap", 3)) {
      printf("gap beats=%ld largest=%ld\n", atomic_exchange(&beats, 0), atomic_exchange(&largest_us, 0));
    } else if (!strncmp(line, "wake", 4)) {
      for (int i = 0; i <= sleepers; i++) if (write(gate[1], "x", 1) != 1) die("write");
      while (woken <= sleepers) usleep(1000);
      printf("wake done\n");
    } else break;
  }
  exit(0);
}

int main(int count, char **arguments) {
  if (count > 1) sleepers = atoi(arguments[1]);
  if (count > 2) period_ms = atoi(arguments[2]);
  if (pipe(gate)) die("pipe");
  struct sigaction beat = {.sa_handler = on_beat, .sa_flags = SA_RESTART}, bus = {.sa_handler = on_bus};
  sigaction(BEAT, &beat, NULL);
  sigaction(SIGBUS, &bus, NULL); /* as QEMU has one: the guard reads it with a borrowed thread */
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, BEAT);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
  pthread_t thread;
  for (int i = 0; i < sleepers; i++) pthread_create(&thread, NULL, run_sleeper, NULL);
  pthread_create(&thread, NULL, run_beat, NULL);
  pthread_create(&thread, NULL, serve, NULL);
  while (!serving) usleep(1000);
  printf("ready %d\n", getpid());
  sleep_in_vfork();
  for (;;) pause();
}
