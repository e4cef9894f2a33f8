/* A part of large-pages.c: threads that come and go. */

static void *nothing(void *argument) { return argument; }

static void churn(size_t count) {
  for (size_t i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL)) die("pthread_create");
    pthread_join(thread, NULL);
  }
}

static pthread_t parents[MOST_HAMMERS];
static int parent_count;
static atomic_int flurrying;
static atomic_ullong born;

static void *beget(void *argument) {
  while (flurrying) {
    churn(1);
    born++;
  }
  return argument;
}
