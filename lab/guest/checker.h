/* What the parts of the guest program share. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PAGE = 4096, LARGE = 2 << 20, WORDS = PAGE / 8 };

/* The block of memory, and its size in pages of 4 KiB. */
extern uint64_t *block;
extern size_t pages;
/* Where answers go. */
extern FILE *port;

/* What the block must hold. */
uint64_t pattern(size_t page, size_t word);
/* Loads a kernel module from the root directory; one that is loaded already is no error. */
void load_module(const char *path);

/* checker-disk.c: `disk`, `disks`, `send`. */
void disk_send(const char *arguments);
void disk_start(const char *arguments);
void disk_tell(int stop);
/* checker-net.c: `net`, `nets`. */
void net_start(const char *arguments);
void net_tell(int stop);
