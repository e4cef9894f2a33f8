/*
 * Network traffic of the guest program, checked: UDP datagrams straight out of its block (MSG_ZEROCOPY: the network card reads the
 * block itself), to a peer that sends each one back.
 *
 *   net PAGE COUNT   net started    a worker sends these pages' first 1024 bytes, one after the other, and compares the answers
 *   nets [1]         nets rounds=N repeats=N wrong=N errors=N    with 1: after ending the worker
 * `repeats`: datagrams that were not answered within half a second and were sent again. `wrong`: answers that differ from what
 * was sent. The guest is 10.9.0.2, the peer 10.9.0.1 port 7.
 */
#define _GNU_SOURCE
#include "checker.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LENGTH = 1024 };
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

static pthread_t thread;
static volatile int stopping;
static size_t first, count;
static int sock = -1;
/* Written by the worker only. */
static unsigned long rounds, repeats, wrong, errors;

static int address(struct sockaddr *to, const char *text, int port_number) {
  struct sockaddr_in *in = (struct sockaddr_in *)to;
  memset(in, 0, sizeof *in);
  in->sin_family = AF_INET;
  in->sin_port = htons((uint16_t)port_number);
  return inet_pton(AF_INET, text, &in->sin_addr) == 1 ? 0 : -1;
}

/* Gives the first Ethernet card its address and turns it on. */
static int configure(void) {
  struct ifreq request;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), error = 0;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "eth0");
  for (int tries = 0; tries < 200 && ioctl(fd, SIOCGIFFLAGS, &request) != 0; tries++) usleep(20000);
  address(&request.ifr_addr, "10.9.0.2", 0);
  error |= ioctl(fd, SIOCSIFADDR, &request);
  address(&request.ifr_netmask, "255.255.255.0", 0);
  error |= ioctl(fd, SIOCSIFNETMASK, &request);
  error |= ioctl(fd, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  error |= ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
  return error;
}

/* Zero-copy sends leave a notice each on the error queue: they are read so that it does not fill up. */
static void drop_notices(void) {
  char control[256], byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  do {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  } while (recvmsg(sock, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
}

/* Sends one page's beginning until its answer is there. */
static void exchange(size_t page) {
  static unsigned char answer[LENGTH];
  const uint64_t *at = block + page * WORDS;
  for (int tries = 0; !stopping; tries++) {
    if (tries > 0) repeats++;
    if (send(sock, at, LENGTH, MSG_ZEROCOPY) != LENGTH) {
      errors++;
      usleep(20000);
      continue;
    }
    for (;;) {
      ssize_t n = recv(sock, answer, sizeof answer, 0);
      drop_notices();
      if (n < 0) break; /* half a second without an answer */
      uint64_t word;
      memcpy(&word, answer, 8);
      if (n == LENGTH && word != pattern(page, 0)) {
        /* A late answer to an earlier page is no fault of its own. */
        int late = 0;
        for (size_t p = first; p < first + count; p++) late |= word == pattern(p, 0);
        if (late) continue;
      }
      int bad = n != LENGTH;
      for (size_t i = 0; !bad && i < LENGTH / 8; i++) {
        memcpy(&word, answer + i * 8, 8);
        bad = word != pattern(page, i);
      }
      wrong += (unsigned long)bad;
      return;
    }
  }
}

static void *work(void *argument) {
  (void)argument;
  while (!stopping) {
    for (size_t p = first; p < first + count && !stopping; p++) exchange(p);
    if (!stopping) rounds++;
  }
  return NULL;
}

void net_start(const char *arguments) {
  struct sockaddr peer;
  struct timeval half = {0, 500000};
  int one = 1;
  if (sock >= 0 || sscanf(arguments, "%zu %zu", &first, &count) != 2 || first + count > pages) {
    fprintf(port, "error net PAGE COUNT, once\n");
    return;
  }
  load_module("/failover.ko");
  load_module("/net_failover.ko");
  load_module("/virtio_net.ko");
  address(&peer, "10.9.0.1", 7);
  int error = configure();
  sock = socket(AF_INET, SOCK_DGRAM, 0);
  error |= setsockopt(sock, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one);
  error |= setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &half, sizeof half);
  error |= connect(sock, &peer, sizeof(struct sockaddr_in));
  if (error != 0) {
    fprintf(port, "error network: %s\n", strerror(errno));
    return;
  }
  stopping = 0;
  pthread_create(&thread, NULL, work, NULL);
  fprintf(port, "net started\n");
}

void net_tell(int stop) {
  if (stop) {
    stopping = 1;
    pthread_join(thread, NULL);
    close(sock);
    sock = -1;
  }
  fprintf(port, "nets rounds=%lu repeats=%lu wrong=%lu errors=%lu\n", rounds, repeats, wrong, errors);
}
