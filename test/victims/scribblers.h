/*
 * A part of large-pages.c: threads that own a word of each small page, write other values into it all the time, and check that what they have
 * written before is still there. A hammer writes the pattern, which nobody would miss.
 */
static pthread_t scribblers[MOST_SCRIBBLERS];
static atomic_int scribbling;
/* How often a scribbler has written its word of each small page: that says what must be there. */
static volatile uint32_t *written[MOST_SCRIBBLERS];

static size_t small_pages(void) { return pages * (page_size / 4096); }

static uint64_t scribbled(size_t word, uint32_t count) { return pattern(word) ^ count * 0x2545f4914f6cdd1dull; }

/* Writes once more into the scribbler's word, or the pattern. A lost page stays lost, so what was last written there does not matter. */
static void rewrite(size_t me, size_t small, int back) {
  size_t word = small * SMALL_WORDS + SMALL_WORDS - 1 - me;
  uint32_t count = written[me][small];
  recovering = 1;
  if (sigsetjmp(recover_point, 1)) { recovering = 0; losses++; return; }
  if (ram[word] != scribbled(word, count)) corruptions++;
  ram[word] = scribbled(word, back ? 0 : count + 1);
  written[me][small] = back ? 0 : count + 1;
  recovering = 0;
}

static void *scribble(void *argument) {
  size_t me = (uintptr_t)argument - 1;
  uint64_t random = 88172645463325252ull + (uintptr_t)argument * 104729;
  while (scribbling) {
    random ^= random << 13; random ^= random >> 7; random ^= random << 17;
    size_t small = random % small_pages();
    enter(MOST_HAMMERS + me, small / (page_size / 4096));
    rewrite(me, small, 0);
    leave(MOST_HAMMERS + me);
    writes++;
  }
  return NULL;
}

static void start_scribblers(size_t count) {
  scribbler_count = count < MOST_SCRIBBLERS ? count : MOST_SCRIBBLERS;
  scribbling = 1;
  writes = losses = corruptions = 0;
  for (int i = 0; i < scribbler_count; i++) {
    written[i] = calloc(small_pages(), sizeof *written[i]);
    if (!written[i]) die("calloc");
    pthread_create(&scribblers[i], NULL, scribble, (void *)(uintptr_t)(i + 1));
  }
}

static void end_scribblers(void) {
  scribbling = 0;
  for (int i = 0; i < scribbler_count; i++) pthread_join(scribblers[i], NULL);
  for (int i = 0; i < scribbler_count; i++) {
    for (size_t small = 0; small < small_pages(); small++) rewrite(i, small, 1);
    free((void *)written[i]);
  }
  scribbler_count = 0;
}
