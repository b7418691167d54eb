/*
 * A disk that lies, between the program and the kernel (LD_PRELOAD). Of the file LIE_PATH:
 *   LIE_AT=N          the byte at offset N is kept with one bit turned over, however often it is written;
 *   LIE_FAIL_AFTER=N  after N writes every one fails with EIO, as on a card that was pulled out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
static long writes;

static int is_ours(int fd) {
  const char *path = getenv("LIE_PATH");
  char link[64], name[PATH_MAX];
  if (!path) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  return strcmp(name, path) == 0;
}

static ssize_t lie(const char *symbol, int fd, const void *data, size_t size, off_t offset) {
  pwrite_fn real = (pwrite_fn)dlsym(RTLD_NEXT, symbol);
  if (!is_ours(fd)) return real(fd, data, size, offset);
  const char *after = getenv("LIE_FAIL_AFTER"), *at = getenv("LIE_AT");
  if (after && __sync_add_and_fetch(&writes, 1) > atol(after)) {
    errno = EIO;
    return -1;
  }
  off_t spoilt = at ? atoll(at) : -1;
  if (spoilt < offset || spoilt >= offset + (off_t)size) return real(fd, data, size, offset);
  char *copy;
  if (posix_memalign((void **)&copy, 4096, size)) abort();
  memcpy(copy, data, size);
  copy[spoilt - offset] ^= 0x10;
  ssize_t done = real(fd, copy, size, offset);
  free(copy);
  return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return lie("pwrite", fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return lie("pwrite64", fd, data, size, offset); }
