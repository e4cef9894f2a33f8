/* Traces a process as gdb and strace do, until its standard input ends:  tracer PID */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count < 2) return 2;
  /* SAFETY: nothing is stopped; our end lets the process go. */
  if (ptrace(PTRACE_SEIZE, atoi(arguments[1]), NULL, NULL)) { perror("PTRACE_SEIZE"); return 1; }
  printf("ready %d\n", getpid());
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {}
  return 0;
}
