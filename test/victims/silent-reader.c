/*
 * Starts a program whose standard output and error lead to somebody who does not read.
 *
 *   silent-reader terminal PROGRAM ARGUMENT…   a terminal that was stopped with Ctrl-S
 *   silent-reader pipe PROGRAM ARGUMENT…       a pipe that is full
 *
 * On standard output: "ready PID", then "exited STATUS" or "killed SIGNAL". Commands on standard input:
 *   term     sends the program SIGTERM
 *   read     from now on everything is read (a terminal gets Ctrl-Q first) and goes to standard error
 * It ends after the program, and kills it when its own input ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

static void fill(int fd) {
  static char junk[4096];
  memset(junk, '\n', sizeof junk);
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  while (write(fd, junk, sizeof junk) > 0) {}
  fcntl(fd, F_SETFL, flags);
}

static int open_terminal(int *slave) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) || unlockpt(master)) die("posix_openpt");
  *slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (*slave < 0) die("open");
  if (write(master, "\023", 1) != 1) die("write");
  return master;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  int terminal = !strcmp(arguments[1], "terminal"), reader, writer, reading = 0;
  if (terminal) reader = open_terminal(&writer);
  else {
    int ends[2];
    if (pipe(ends)) die("pipe");
    reader = ends[0];
    writer = ends[1];
    fcntl(reader, F_SETFD, FD_CLOEXEC);
    fill(writer);
  }
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    dup2(writer, 1);
    dup2(writer, 2);
    close(nothing);
    close(writer);
    execv(arguments[2], arguments + 2);
    _exit(127);
  }
  if (!terminal) close(writer); /* a terminal without any writer would report EIO to us */
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready %d\n", child);
  for (;;) {
    struct pollfd look[2] = {{0, POLLIN, 0}, {reading ? reader : -1, POLLIN, 0}};
    poll(look, 2, 20);
    char bytes[4096];
    if (look[1].revents) {
      ssize_t got = read(reader, bytes, sizeof bytes);
      if (got > 0 && write(2, bytes, got) < 0) die("write");
      if (got <= 0) reading = 0;
    }
    if (look[0].revents) {
      ssize_t got = read(0, bytes, sizeof bytes - 1);
      if (got <= 0) kill(child, SIGKILL);
      bytes[got > 0 ? got : 0] = 0;
      if (strstr(bytes, "term")) kill(child, SIGTERM);
      if (strstr(bytes, "read")) {
        if (terminal && write(reader, "\021", 1) != 1) die("write");
        reading = 1;
      }
      if (got <= 0) { waitpid(child, NULL, 0); return 1; }
    }
    int status;
    if (look[1].revents == 0 && waitpid(child, &status, WNOHANG) == child) {
      if (WIFEXITED(status)) printf("exited %d\n", WEXITSTATUS(status));
      else printf("killed %d\n", WTERMSIG(status));
      return 0;
    }
  }
}
