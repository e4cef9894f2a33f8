/* Time, failure and the pattern in memory: what every part of the measured process uses. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void die(const char *what) { perror(what); exit(1); }

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The pattern of a word depends on its place and never is zero. */
static inline uint64_t pattern(size_t word) { return (word + 1) * 0x9e3779b97f4a7c15ull | 1; }

static inline uint64_t random_next(uint64_t *state) {
  *state ^= *state << 13; *state ^= *state >> 7; *state ^= *state << 17;
  return *state;
}

static inline void answer(const char *name, uint64_t value) { printf(" %s%llu", name, (unsigned long long)value); }

#endif
