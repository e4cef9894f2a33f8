/*
 * poison PID OFFSET|@HVA...   (runs in L1 as root)
 *
 * Makes the kernel believe that the 4 KiB at each OFFSET of a guest's RAM has failed. The RAM is the large-page file that QEMU
 * process PID maps (a memory-backend-file or -memfd); with one of them below 4 GiB the offset in it equals the guest-physical
 * address. @HVA is an address of the process itself.
 * Prints one line per offset: `poisoned OFFSET pfn=… hva=…` and exits 0, or says on stderr what failed and exits 1.
 *
 * All frame numbers are read before the first poisoning, because a poisoned large page no longer shows in pagemap. The second
 * and third error of one large page make corrupt-pfn report EHWPOISON/EBUSY although they are recorded (mm/memory-failure.c,
 * get_huge_page_for_hwpoison): such an error is accepted here and the caller judges by what the guest loses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 64 };

/* The hva of an offset of the RAM file; 0 when no mapping of the file has it. A recovered large page is not of the file any more. */
static uint64_t find_hva(const char *pid, uint64_t offset) {
  char path[64], line[512];
  uint64_t found = 0;
  snprintf(path, sizeof path, "/proc/%s/maps", pid);
  FILE *maps = fopen(path, "r");
  if (maps == NULL) return 0;
  while (found == 0 && fgets(line, sizeof line, maps) != NULL) {
    uint64_t start, end, first;
    if (strstr(line, "qemu_back_mem") == NULL && strstr(line, "memfd:memory-backend-memfd") == NULL) continue;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end, &first) != 3) continue;
    if (offset >= first && offset - first < end - start) found = start + (offset - first);
  }
  fclose(maps);
  return found;
}

int main(int argc, char **argv) {
  uint64_t pfn[MOST], hva[MOST];
  char path[64];
  int count = argc - 2;
  if (count < 1 || count > MOST) {
    fprintf(stderr, "usage: poison PID OFFSET|@HVA... (at most %d)\n", MOST);
    return 2;
  }
  snprintf(path, sizeof path, "/proc/%s/pagemap", argv[1]);
  int pagemap = open(path, O_RDONLY);
  for (int i = 0; i < count; i++) {
    uint64_t entry = 0;
    const char *word = argv[i + 2];
    hva[i] = *word == '@' ? strtoull(word + 1, NULL, 0) : find_hva(argv[1], strtoull(word, NULL, 0));
    if (hva[i] == 0) {
      fprintf(stderr, "poison: process %s maps no RAM file at offset %s\n", argv[1], argv[i + 2]);
      return 1;
    }
    if (pread(pagemap, &entry, 8, (off_t)(hva[i] / 4096 * 8)) != 8 || !(entry >> 63)) {
      fprintf(stderr, "poison: hva 0x%" PRIx64 " of process %s is not present in pagemap\n", hva[i], argv[1]);
      return 1;
    }
    pfn[i] = entry & ((1ULL << 55) - 1);
  }
  close(pagemap);
  int corrupt = open("/sys/kernel/debug/hwpoison/corrupt-pfn", O_WRONLY);
  if (corrupt < 0) {
    fprintf(stderr, "poison: corrupt-pfn: %s\n", strerror(errno));
    return 1;
  }
  for (int i = 0; i < count; i++) {
    char text[32];
    int n = snprintf(text, sizeof text, "0x%" PRIx64 "\n", pfn[i]);
    int error = write(corrupt, text, (size_t)n) < 0 ? errno : 0;
    if (error != 0 && error != EBUSY && error != EHWPOISON && error != EOPNOTSUPP) {
      fprintf(stderr, "poison: pfn 0x%" PRIx64 ": %s\n", pfn[i], strerror(error));
      return 1;
    }
    printf("poisoned %s pfn=0x%" PRIx64 " hva=0x%" PRIx64 " errno=%d\n", argv[i + 2], pfn[i], hva[i], error);
  }
  return 0;
}
