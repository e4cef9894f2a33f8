/*
 * Sends itself signals of all kinds and compares what arrives with what was sent, to the last field of siginfo that matters.
 *
 *   signals THREADS
 *
 * Commands on standard input, one answer line each:
 *   storm NUMBER N   send the process signal NUMBER N times, each after the one before has arrived: "storm sent=… got=… wrong=…"
 *   queue N          sigqueue() N values, as fast as the queue takes them
 *   direct N         pthread_sigqueue() N values to each thread; the right thread must get each
 *   timer N          N expirations of a timer of 1 ms
 *   fault N          N accesses to an unmapped page; SIGSEGV must tell the address
 *   outside          "outside got=… wrong=…": SIGUSR2 from others, whose pid is told with `from PID`
 *   from PID
 *   mask             "mask 1" if the threads' signal masks are what they were
 *   quit
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUED (SIGRTMIN + 1)
#define DIRECT (SIGRTMIN + 2)
#define TIMED (SIGRTMIN + 3)
#define MOST_THREADS 16

static atomic_long got, wrong, outside_got, outside_wrong, value_sum;
static volatile long sender;
static _Thread_local int my_number = -1;
static _Thread_local sigjmp_buf fault_point;
static void *const fault_address = (void *)0x7000;

static void die(const char *what) { perror(what); exit(1); }

static void on_storm(int number, siginfo_t *info, void *context) {
  (void)context;
  if (info->si_signo != number || info->si_code != SI_USER || info->si_pid != getpid() || info->si_uid != getuid()) wrong++;
  got++;
}

static void on_queued(int number, siginfo_t *info, void *context) {
  (void)context;
  if (info->si_signo != number || info->si_code != SI_QUEUE || info->si_pid != getpid()) wrong++;
  value_sum += (long)(intptr_t)info->si_value.sival_ptr;
  got++;
}

static void on_direct(int number, siginfo_t *info, void *context) {
  (void)context;
  long value = (long)(intptr_t)info->si_value.sival_ptr;
  if (info->si_signo != number || info->si_code != SI_QUEUE || value % MOST_THREADS != my_number) wrong++;
  got++;
}

static void on_timer(int number, siginfo_t *info, void *context) {
  (void)context;
  if (info->si_signo != number || info->si_code != SI_TIMER || info->si_value.sival_int != 4711) wrong++;
  got += 1 + info->si_overrun;
}

static void on_outside(int number, siginfo_t *info, void *context) {
  (void)context;
  if (info->si_signo != number || info->si_code != SI_USER || info->si_pid != sender) outside_wrong++;
  outside_got++;
}

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  if (info->si_signo != number || info->si_addr != fault_address || info->si_code != SEGV_MAPERR) wrong++;
  got++;
  siglongjmp(fault_point, 1);
}

static void install(int number, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  if (sigaction(number, &action, NULL)) die("sigaction");
}

static int thread_count;
static pthread_t threads[MOST_THREADS];
static sigset_t masks[MOST_THREADS];
static atomic_int started, masks_changed, look_at_masks;

static void check_mask(void) {
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, NULL, &now);
  if (memcmp(&now, &masks[my_number], 8)) masks_changed++; /* the kernel knows 64 signals */
}

/* Half of the threads run all the time, half sleep in the kernel. Each blocks another signal. */
static void *serve(void *argument) {
  my_number = (int)(intptr_t)argument;
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGRTMAX - my_number);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
  pthread_sigmask(SIG_SETMASK, NULL, &masks[my_number]);
  started++;
  for (int seen = 0;;) {
    if (my_number % 2) {
      struct timespec moment = {0, 2000000};
      nanosleep(&moment, NULL);
    } else sched_yield();
    if (look_at_masks != seen) { check_mask(); seen = look_at_masks; started++; }
  }
  return NULL;
}

static void await(long count) {
  for (int rounds = 0; got < count && rounds < 20000; rounds++) {
    struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
  }
}

static void storm(int number, long count) {
  install(number, on_storm);
  for (long i = 1; i <= count; i++) {
    if (kill(getpid(), number)) die("kill");
    for (long spins = 0; got < i && spins < 20000000; spins++) sched_yield();
  }
}

static long queue_values(long count) {
  long sum = 0;
  value_sum = 0;
  for (long i = 1; i <= count; i++) {
    union sigval value = {.sival_ptr = (void *)(intptr_t)i};
    while (sigqueue(getpid(), QUEUED, value)) sched_yield();
    sum += i;
  }
  await(count);
  if (value_sum != sum) wrong++;
  return count;
}

static long send_directly(long count) {
  for (long i = 0; i < count; i++)
    for (int t = 0; t < thread_count; t++) {
      union sigval value = {.sival_ptr = (void *)(intptr_t)(i * MOST_THREADS + t)};
      while (pthread_sigqueue(threads[t], DIRECT, value)) sched_yield();
    }
  await(count * thread_count);
  return count * thread_count;
}

static void run_timer(long count) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = TIMED, .sigev_value.sival_int = 4711};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) die("timer_create");
  struct itimerspec period = {.it_interval = {0, 1000000}, .it_value = {0, 1000000}};
  timer_settime(timer, 0, &period, NULL);
  await(count);
  timer_delete(timer);
}

static void fault(long count) {
  for (volatile long i = 0; i < count; i++)
    if (sigsetjmp(fault_point, 1) == 0) *(volatile char *)fault_address = 1;
}

int main(int count, char **arguments) {
  thread_count = count > 1 ? atoi(arguments[1]) : 2;
  if (thread_count > MOST_THREADS) return 2;
  install(QUEUED, on_queued);
  install(DIRECT, on_direct);
  install(TIMED, on_timer);
  install(SIGUSR2, on_outside);
  install(SIGSEGV, on_fault);
  struct sigaction nothing = {.sa_handler = SIG_IGN};
  sigaction(SIGPIPE, &nothing, NULL);
  for (intptr_t i = 0; i < thread_count; i++) pthread_create(&threads[i], NULL, serve, (void *)i);
  while (started < thread_count) sched_yield();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready %d\n", getpid());
  char line[128], command[32];
  while (fgets(line, sizeof line, stdin)) {
    long first = 0, second = 0, sent = 0;
    if (sscanf(line, "%31s %ld %ld", command, &first, &second) < 1) continue;
    got = wrong = 0;
    if (!strcmp(command, "storm")) { storm((int)first, second); sent = second; }
    else if (!strcmp(command, "queue")) sent = queue_values(first);
    else if (!strcmp(command, "direct")) sent = send_directly(first);
    else if (!strcmp(command, "timer")) { run_timer(first); sent = first; }
    else if (!strcmp(command, "fault")) { fault(first); sent = first; }
    else if (!strcmp(command, "from")) { sender = first; outside_got = outside_wrong = 0; }
    else if (!strcmp(command, "outside")) { printf("outside got=%ld wrong=%ld\n", outside_got, outside_wrong); continue; }
    else if (!strcmp(command, "mask")) {
      started = 0;
      look_at_masks++;
      while (started < thread_count) sched_yield();
      printf("mask changed=%d\n", masks_changed);
      continue;
    } else if (!strcmp(command, "quit")) return 0;
    printf("%s sent=%ld got=%ld wrong=%ld\n", command, sent, got, wrong);
  }
  return 0;
}
