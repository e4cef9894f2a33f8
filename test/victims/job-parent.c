/*
 * Starts a program as a shell starts a job: in a process group of its own, whose parent is told of every stop. Standard input
 * and output are the program's; what the parent is told goes to standard error, one line each:
 *
 *   stopped SIGNAL | continued | killed SIGNAL | exited STATUS
 *
 *   job-parent PROGRAM ARGUMENT…
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count < 2) return 2;
  setvbuf(stderr, NULL, _IOLBF, 0);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    execv(arguments[1], arguments + 1);
    perror("exec");
    _exit(1);
  }
  setpgid(child, child);
  close(0);
  close(1);
  for (;;) {
    int status;
    if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child) return 1;
    if (WIFSTOPPED(status)) fprintf(stderr, "stopped %d\n", WSTOPSIG(status));
    else if (WIFCONTINUED(status)) fprintf(stderr, "continued\n");
    else if (WIFSIGNALED(status)) { fprintf(stderr, "killed %d\n", WTERMSIG(status)); return 0; }
    else { fprintf(stderr, "exited %d\n", WEXITSTATUS(status)); return 0; }
  }
}
