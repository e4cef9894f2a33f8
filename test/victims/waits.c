/*
 * Threads that wait in the kernel in every way QEMU does and some more. None may come out before it should, whatever is done
 * to it in between.
 *
 *   waits SECONDS    how long the timed sleeps take
 *
 * Commands on standard input, one answer line each:
 *   threads   "threads NAME=TID …"
 *   report    "report NAME=waiting …", or NAME=RESULT/ERRNO for one that has come out
 *   finish    give each what it waits for, and report; a sleep that was too short says so: NAME=short
 *   quit
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int seconds = 3;
static int pipe_ends[2], socket_ends[2], gate; /* the gate becomes readable at the end */
static uint32_t word;
static pid_t child;

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static long do_poll(void) { struct pollfd fd = {gate, POLLIN, 0}; return poll(&fd, 1, 600000); }
static long do_poll_forever(void) { struct pollfd fd = {gate, POLLIN, 0}; return poll(&fd, 1, -1); }
static long do_ppoll(void) { struct pollfd fd = {gate, POLLIN, 0}; return ppoll(&fd, 1, NULL, NULL); }
static long do_select(void) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(gate, &set);
  return select(gate + 1, &set, NULL, NULL, NULL);
}
static long do_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); }
static long do_futex_timed(void) {
  struct timespec limit = {600, 0};
  return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0);
}
static long do_nanosleep(void) { struct timespec t = {seconds, 0}; return nanosleep(&t, NULL); }
static long do_clock_nanosleep(void) {
  struct timespec t = {seconds, 0};
  return clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}
static long do_read(void) { char byte; return read(pipe_ends[0], &byte, 1); }
static long do_receive(void) { char byte; return recv(socket_ends[0], &byte, 1, 0); }
static long do_wait_child(void) { return waitpid(child, NULL, 0) == child ? 1 : -1; }
static long do_pause(void) { return pause(); }
static long do_suspend(void) { sigset_t none; sigemptyset(&none); sigaddset(&none, SIGUSR1); return sigsuspend(&none); }
static long do_signal_wait(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8);
}
static long do_epoll(void) {
  int fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(fd, EPOLL_CTL_ADD, gate, &event);
  return epoll_wait(fd, &event, 1, -1);
}

static struct wait {
  const char *name;
  long (*call)(void);
  int timed;
  pthread_t thread;
  pid_t tid;
  long result;
  int error;
  double began, ended;
  atomic_int done;
} waits[] = {
  {.name = "poll", .call = do_poll}, {.name = "poll-forever", .call = do_poll_forever}, {.name = "ppoll", .call = do_ppoll},
  {.name = "select", .call = do_select}, {.name = "futex", .call = do_futex}, {.name = "futex-timed", .call = do_futex_timed},
  {.name = "nanosleep", .call = do_nanosleep, .timed = 1}, {.name = "clock-nanosleep", .call = do_clock_nanosleep, .timed = 1},
  {.name = "read", .call = do_read}, {.name = "receive", .call = do_receive}, {.name = "wait-child", .call = do_wait_child},
  {.name = "pause", .call = do_pause}, {.name = "suspend", .call = do_suspend}, {.name = "signal-wait", .call = do_signal_wait},
  {.name = "epoll", .call = do_epoll},
};
#define COUNT (sizeof waits / sizeof waits[0])

static void on_usr2(int number) { (void)number; }

static void *run(void *argument) {
  struct wait *wait = argument;
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, NULL);
  wait->began = now();
  wait->tid = gettid();
  errno = 0;
  wait->result = wait->call();
  wait->error = errno;
  wait->ended = now();
  wait->done = 1;
  return NULL;
}

static void report(const char *word_) {
  printf("%s", word_);
  for (size_t i = 0; i < COUNT; i++) {
    struct wait *w = &waits[i];
    if (!w->done) printf(" %s=waiting", w->name);
    else if (w->timed && w->ended - w->began < seconds - 0.001) printf(" %s=short:%ld/%d", w->name, w->result, w->error);
    else printf(" %s=%ld/%d", w->name, w->result, w->error);
  }
  printf("\n");
}

static void finish(void) {
  uint64_t one = 1;
  word = 1;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1000, NULL, NULL, 0);
  if (write(gate, &one, sizeof one) < 0 || write(pipe_ends[1], "x", 1) < 0 || write(socket_ends[1], "x", 1) < 0) die("write");
  kill(child, SIGKILL);
  for (size_t i = 0; i < COUNT; i++) {
    if (waits[i].done) continue;
    if (waits[i].call == do_pause || waits[i].call == do_suspend) pthread_kill(waits[i].thread, SIGUSR2);
    if (waits[i].call == do_signal_wait) pthread_kill(waits[i].thread, SIGUSR1);
  }
  for (size_t i = 0; i < COUNT; i++) pthread_join(waits[i].thread, NULL);
}

int main(int count, char **arguments) {
  if (count > 1) seconds = atoi(arguments[1]);
  if (pipe(pipe_ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends)) die("pipe");
  gate = eventfd(0, 0);
  child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(0); close(1); close(2);
    for (;;) pause();
  }
  struct sigaction action = {.sa_handler = on_usr2};
  sigaction(SIGUSR2, &action, NULL);
  for (size_t i = 0; i < COUNT; i++) pthread_create(&waits[i].thread, NULL, run, &waits[i]);
  for (size_t i = 0; i < COUNT; i++) while (!*(volatile pid_t *)&waits[i].tid) usleep(1000);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready %d\n", getpid());
  char line[128];
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "threads", 7)) {
      printf("threads");
      for (size_t i = 0; i < COUNT; i++) printf(" %s=%d", waits[i].name, waits[i].tid);
      printf("\n");
    } else if (!strncmp(line, "report", 6)) report("report");
    else if (!strncmp(line, "finish", 6)) { finish(); report("finish"); }
    else if (!strncmp(line, "quit", 4)) break;
  }
  kill(child, SIGKILL);
  return 0;
}
