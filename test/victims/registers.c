/*
 * Threads that keep everything in registers: general, vector, flags, the red zone below the stack, and the rounding mode. Each
 * runs the same sum again and again and compares; a register that is not given back as it was makes it wrong.
 *
 *   registers THREADS
 *
 * Commands on standard input, one answer line each:
 *   sums    "sums done=… wrong=…"
 *   quit
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long done, wrong;
static int wide;

/*
 * Leaf code in one block: values live in registers and in the red zone (-8 to -128 from the stack pointer) for its whole time.
 * The stack pointer is moved first, so that the red zone of the compiler's own code is left alone.
 */
#define LOOP(setup, step, gather)                                                                                     \
  __asm__ volatile(                                                                                                   \
    "subq $512, %%rsp\n" setup                                                                                        \
    "movq %[seed], %%r8\n movq %[seed], %%r9\n movq %[seed], %%r10\n movq %[seed], %%r11\n"                           \
    "movq %[seed], %%r12\n movq %[seed], %%r13\n movq %[seed], %%r14\n movq %[seed], %%r15\n"                         \
    "movq %[seed], -8(%%rsp)\n movq %[seed], -64(%%rsp)\n movq %[seed], -128(%%rsp)\n"                                \
    "movq %[rounds], %%rcx\n"                                                                                         \
    "1:\n" step                                                                                                       \
    "addq %%r9, %%r8\n rolq $7, %%r8\n addq %%r10, %%r9\n rolq $11, %%r9\n xorq %%r11, %%r10\n addq %%r12, %%r11\n"   \
    "addq -8(%%rsp), %%r12\n adcq -64(%%rsp), %%r13\n adcq -128(%%rsp), %%r14\n rolq $3, %%r12\n"                     \
    "addq %%r8, -8(%%rsp)\n xorq %%r9, -64(%%rsp)\n addq %%r13, -128(%%rsp)\n xorq %%r14, %%r15\n addq %%rcx, %%r15\n" \
    "decq %%rcx\n jnz 1b\n"                                                                                           \
    "addq $512, %%rsp\n" gather                                                                                       \
    "movq %%r8, 0(%[out])\n movq %%r9, 8(%[out])\n movq %%r10, 16(%[out])\n movq %%r11, 24(%[out])\n"                 \
    "movq %%r12, 32(%[out])\n movq %%r13, 40(%[out])\n movq %%r14, 48(%[out])\n movq %%r15, 56(%[out])\n"             \
    : : [seed] "r"(seed), [rounds] "r"(rounds), [out] "r"(out)                                                        \
    : "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",    \
      "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

__attribute__((noinline)) static void sum_wide(uint64_t seed, uint64_t rounds, uint64_t *out) {
  LOOP("vmovq %[seed], %%xmm0\n vpbroadcastq %%xmm0, %%ymm0\n vpaddq %%ymm0, %%ymm0, %%ymm1\n"
       "vpaddq %%ymm1, %%ymm0, %%ymm2\n vpaddq %%ymm2, %%ymm1, %%ymm7\n vpaddq %%ymm7, %%ymm1, %%ymm15\n",
       "vpaddq %%ymm1, %%ymm0, %%ymm0\n vpxor %%ymm2, %%ymm1, %%ymm1\n vpaddq %%ymm15, %%ymm2, %%ymm2\n"
       "vpsrlq $3, %%ymm0, %%ymm3\n vpxor %%ymm3, %%ymm7, %%ymm7\n vpaddq %%ymm7, %%ymm15, %%ymm15\n"
       "vpermq $57, %%ymm15, %%ymm15\n",
       "vmovdqu %%ymm0, 64(%[out])\n vmovdqu %%ymm1, 96(%[out])\n vmovdqu %%ymm7, 128(%[out])\n"
       "vmovdqu %%ymm15, 160(%[out])\n vzeroupper\n");
}

__attribute__((noinline)) static void sum_narrow(uint64_t seed, uint64_t rounds, uint64_t *out) {
  LOOP("movq %[seed], %%xmm0\n movq %[seed], %%xmm1\n movq %[seed], %%xmm15\n",
       "paddq %%xmm1, %%xmm0\n pxor %%xmm15, %%xmm1\n paddq %%xmm0, %%xmm15\n",
       "movdqu %%xmm0, 64(%[out])\n movdqu %%xmm1, 80(%[out])\n movdqu %%xmm15, 96(%[out])\n");
}

static void sum(uint64_t seed, uint64_t *out) {
  memset(out, 0, 192);
  if (wide) sum_wide(seed, 200000, out);
  else sum_narrow(seed, 200000, out);
}

static uint32_t rounding(void) {
  uint32_t value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value & 0x6000;
}

static void *run(void *argument) {
  uint64_t seed = 0x9e3779b97f4a7c15ull * ((uintptr_t)argument + 1), right[24], now[24];
  uint32_t control;
  __asm__ volatile("stmxcsr %0" : "=m"(control));
  control = (control & ~0x6000u) | 0x4000; /* round up: not what a fresh thread has */
  __asm__ volatile("ldmxcsr %0" : : "m"(control));
  sum(seed, right);
  for (;;) {
    sum(seed, now);
    if (memcmp(now, right, sizeof now) || rounding() != 0x4000) wrong++;
    done++;
  }
  return NULL;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 2;
  wide = __builtin_cpu_supports("avx2");
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (intptr_t i = 0; i < threads; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, (void *)i);
  }
  while (done < threads) usleep(1000);
  printf("ready %d %s\n", getpid(), wide ? "avx2" : "sse2");
  char line[128];
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "sums", 4)) printf("sums done=%ld wrong=%ld\n", done, wrong);
    else if (!strncmp(line, "quit", 4)) return 0;
  }
  return 0;
}
