/* A part of large-pages.c: two threads that block SIGBUS, as QEMU's main loop and its I/O threads do. */

static pthread_barrier_t together;
static pthread_t blockers[2];
static struct blocker { size_t page; int right, blocked; } pair[2];

static void *block(void *argument) {
  struct blocker *me = argument;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGBUS);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_barrier_wait(&together);
  pthread_barrier_wait(&together);
  size_t word = me->page * page_size / 8;
  me->right = ram[word] == pattern(word);
  pthread_sigmask(SIG_SETMASK, NULL, &set);
  me->blocked = sigismember(&set, SIGBUS);
  return NULL;
}

static void begin_blocking(void) {
  pthread_barrier_init(&together, NULL, 3);
  for (int i = 0; i < 2; i++) pthread_create(&blockers[i], NULL, block, &pair[i]);
  pthread_barrier_wait(&together);
}

static void read_both(size_t page, size_t other) {
  pair[0].page = page;
  pair[1].page = other;
  pthread_barrier_wait(&together);
  printf("both");
  for (int i = 0; i < 2; i++) {
    pthread_join(blockers[i], NULL);
    printf(" %s %s", pair[i].right ? "ok" : "corrupt", pair[i].blocked ? "still-blocked" : "unblocked");
  }
  puts("");
}
