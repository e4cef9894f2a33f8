/*
 * echo ADDRESS   (runs in L1)
 *
 * Sends each UDP datagram that comes to ADDRESS port 7 back to its sender. Says `ready` once it listens.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  static char data[65536];
  struct sockaddr_in here;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  memset(&here, 0, sizeof here);
  here.sin_family = AF_INET;
  here.sin_port = htons(7);
  if (argc != 2 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1) {
    fprintf(stderr, "usage: echo ADDRESS\n");
    return 2;
  }
  if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) != 0) {
    perror("echo");
    return 1;
  }
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length);
    if (n >= 0) sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, length);
  }
}
