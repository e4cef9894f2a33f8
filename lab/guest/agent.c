/*
 * The lab host's resident agent: process 1 of L1, spoken to over one virtio-serial port.
 *
 * Every message, both ways, is one header line and LENGTH bytes of payload:
 *   harness -> agent   run ID LEN      start `/bin/sh -c PAYLOAD` in a session of its own
 *                      connect ID LEN  connect to the unix stream socket named PAYLOAD
 *                      in ID LEN       PAYLOAD for the channel's standard input or socket
 *                      eof ID 0        close the channel's standard input, or the socket
 *                      kill ID LEN     send the signal whose number is PAYLOAD to the channel's process group
 *                      reset ID 0      a new harness: close sockets, let go of processes; answered by `exit ID 0` at once
 *   agent -> harness   beat N 0        twice a second; its absence means the whole lab host hangs
 *                      out ID LEN, err ID LEN   bytes from a channel
 *                      exit ID LEN     PAYLOAD is the exit code (128 + signal when killed), or -1 and a reason
 * It is C, not Node, because a start of Node costs seconds under emulation.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHANNELS = 48, CHUNK = 32768, FORGOTTEN = -1 };

struct channel {
  long id; /* 0: free */
  pid_t pid; /* 0: a socket, or already reaped */
  int in, out, err; /* -1: closed */
  int code; /* exit code once reaped */
  int reaped;
};

static struct channel channels[CHANNELS];
static int port = -1;

static void put(const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = write(port, bytes, length);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) return; /* nobody listens */
      struct pollfd wait = {.fd = port, .events = POLLOUT};
      poll(&wait, 1, 1000);
      continue;
    }
    bytes += n;
    length -= (size_t)n;
  }
}

static void send_frame(const char *verb, long id, const char *payload, size_t length) {
  char header[64];
  if (id == FORGOTTEN) return;
  int n = snprintf(header, sizeof header, "%s %ld %zu\n", verb, id, length);
  put(header, (size_t)n);
  put(payload, length);
}

static void send_exit(long id, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  send_frame("exit", id, text, (size_t)n);
}

static struct channel *find(long id) {
  for (int i = 0; i < CHANNELS; i++)
    if (channels[i].id == id) return &channels[i];
  return NULL;
}

static struct channel *claim(long id) {
  struct channel *c = find(0);
  if (c == NULL) {
    send_exit(id, "-1 no free channel");
    return NULL;
  }
  *c = (struct channel){.id = id, .in = -1, .out = -1, .err = -1};
  return c;
}

static void shut(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void start(long id, const char *command) {
  struct channel *c = claim(id);
  int in[2], out[2], err[2];
  if (c == NULL) return;
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
    send_exit(id, "-1 pipe: %s", strerror(errno));
    c->id = 0;
    return;
  }
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  c->pid = pid;
  c->in = in[1];
  c->out = out[0];
  c->err = err[0];
  fcntl(c->in, F_SETFL, O_NONBLOCK);
  if (pid < 0) {
    shut(&c->in), shut(&c->out), shut(&c->err);
    send_exit(id, "-1 fork: %s", strerror(errno));
    c->id = 0;
  }
}

static void attach(long id, const char *path) {
  struct channel *c = claim(id);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (c == NULL) return;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    send_exit(id, "-1 connect %s: %s", path, strerror(errno));
    shut(&fd);
    c->id = 0;
    return;
  }
  c->out = fd;
  c->in = dup(fd);
  c->reaped = 1;
}

static void feed(struct channel *c, const char *bytes, size_t length) {
  while (c->in >= 0 && length > 0) {
    ssize_t n = write(c->in, bytes, length);
    if (n < 0 && errno == EAGAIN) {
      struct pollfd wait = {.fd = c->in, .events = POLLOUT};
      if (poll(&wait, 1, 5000) <= 0) return; /* the reader does not read: drop rather than stop beating */
      continue;
    }
    if (n < 0) {
      shut(&c->in);
      return;
    }
    bytes += n;
    length -= (size_t)n;
  }
}

/* What an earlier harness started lives on (a VM in a snapshot does), but nobody hears of it any more. */
static void reset(long id) {
  for (int i = 0; i < CHANNELS; i++) {
    struct channel *c = &channels[i];
    if (c->id == 0) continue;
    if (c->pid == 0) shut(&c->in), shut(&c->out), c->id = 0;
    else c->id = FORGOTTEN;
  }
  send_exit(id, "0");
}

static void request(const char *verb, long id, char *payload, size_t length) {
  if (strcmp(verb, "run") == 0) return start(id, payload);
  if (strcmp(verb, "connect") == 0) return attach(id, payload);
  if (strcmp(verb, "reset") == 0) return reset(id);
  struct channel *c = find(id);
  if (c == NULL) return; /* it ended while the request was under way */
  if (strcmp(verb, "in") == 0) feed(c, payload, length);
  if (strcmp(verb, "eof") == 0) {
    if (c->pid == 0 && c->in >= 0) shutdown(c->in, SHUT_RDWR);
    shut(&c->in);
  }
  if (strcmp(verb, "kill") == 0 && c->pid > 0) kill(-c->pid, atoi(payload));
}

/* One whole message at most is parsed per call; returns the bytes used, 0 when more are needed. */
static size_t parse(char *buffer, size_t have) {
  char *newline = memchr(buffer, '\n', have);
  char verb[16];
  long id;
  size_t length;
  if (newline == NULL) return 0;
  size_t head = (size_t)(newline - buffer) + 1;
  *newline = 0;
  if (sscanf(buffer, "%15s %ld %zu", verb, &id, &length) != 3) return head; /* noise before the first message */
  *newline = '\n';
  if (have < head + length) return 0;
  char saved = buffer[head + length];
  buffer[head + length] = 0;
  request(verb, id, buffer + head, length);
  buffer[head + length] = saved;
  return head + length;
}

static void drain(struct channel *c, int *fd, const char *verb) {
  static char chunk[CHUNK];
  ssize_t n = read(*fd, chunk, sizeof chunk);
  if (n > 0) send_frame(verb, c->id, chunk, (size_t)n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR)) shut(fd);
}

static void reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    for (int i = 0; i < CHANNELS; i++)
      if (channels[i].id != 0 && channels[i].pid == pid) {
        channels[i].reaped = 1;
        channels[i].code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      }
}

static void finish(void) {
  for (int i = 0; i < CHANNELS; i++) {
    struct channel *c = &channels[i];
    if (c->id == 0 || !c->reaped) continue;
    if (c->pid == 0 && c->out >= 0) continue; /* a live socket */
    /* A daemon left behind may hold the pipes open: the command itself has ended, that is what counts. */
    if (c->out >= 0 || c->err >= 0) {
      struct pollfd left[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
      if (poll(left, 2, 0) > 0 && ((left[0].revents | left[1].revents) & POLLIN)) continue;
    }
    shut(&c->in), shut(&c->out), shut(&c->err);
    send_exit(c->id, "%d", c->code);
    c->id = 0;
  }
}

int main(int argc, char **argv) {
  static char buffer[4 << 20];
  size_t have = 0;
  long beats = 0;
  const char *path = argc > 1 ? argv[1] : "/dev/vport*p1";
  signal(SIGPIPE, SIG_IGN);
  setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  for (int tries = 0; tries < 500 && port < 0; tries++) { /* the port appears a little after its controller */
    glob_t found; /* vportNp1: N is the controller's index among the virtio devices */
    if (glob(path, 0, NULL, &found) == 0) port = open(found.gl_pathv[0], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    globfree(&found);
    if (port < 0) usleep(20000);
  }
  if (port < 0) {
    fprintf(stderr, "lab agent: %s: %s\n", path, strerror(errno));
    return 1;
  }
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct itimerspec every = {.it_interval.tv_nsec = 500000000, .it_value.tv_nsec = 1000000};
  timerfd_settime(timer, 0, &every, NULL);
  for (;;) {
    struct pollfd fds[2 + 2 * CHANNELS];
    int owner[2 + 2 * CHANNELS], n = 2;
    fds[0] = (struct pollfd){.fd = port, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = timer, .events = POLLIN};
    for (int i = 0; i < CHANNELS; i++) {
      if (channels[i].id == 0) continue;
      if (channels[i].out >= 0) owner[n] = i, fds[n++] = (struct pollfd){.fd = channels[i].out, .events = POLLIN};
      if (channels[i].err >= 0) owner[n] = i, fds[n++] = (struct pollfd){.fd = channels[i].err, .events = POLLIN};
    }
    /* 20 ms: exits are noticed by polling, so that no signal handler is needed in process 1. */
    poll(fds, (nfds_t)n, 20);
    if (fds[1].revents & POLLIN) {
      unsigned long long ticks;
      if (read(timer, &ticks, sizeof ticks) > 0) send_frame("beat", ++beats, "", 0);
    }
    if (fds[0].revents & POLLIN) {
      ssize_t got = read(port, buffer + have, sizeof buffer - 1 - have);
      if (got > 0) have += (size_t)got;
      size_t used;
      while ((used = parse(buffer, have)) > 0) {
        memmove(buffer, buffer + used, have - used);
        have -= used;
      }
    }
    if ((fds[0].revents & POLLHUP) && !(fds[0].revents & POLLIN)) usleep(20000); /* no harness connected */
    for (int i = 2; i < n; i++) {
      struct channel *c = &channels[owner[i]];
      if (!(fds[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      if (fds[i].fd == c->out) drain(c, &c->out, "out");
      else if (fds[i].fd == c->err) drain(c, &c->err, "err");
    }
    reap();
    finish();
  }
}
