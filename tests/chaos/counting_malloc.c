/* Preloaded, counts the memory that a process has allocated and not freed: as two words, bytes and
 * blocks, in a file of the directory that KFAST_ALLOCATED names, which is called as the process's
 * number. Resident memory is no such count: freed blocks stay in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under names that nobody takes the place of. */
extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* block, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void* block);

struct counts {
  atomic_llong bytes;
  atomic_llong blocks;
};
static struct counts until_mapped;
static struct counts* counts = &until_mapped;

static void* took(void* block) {
  if (block != NULL) {
    atomic_fetch_add_explicit(&counts->bytes, (long long)malloc_usable_size(block),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->blocks, 1, memory_order_relaxed);
  }
  return block;
}

static void gives(void* block) {
  if (block != NULL) {
    atomic_fetch_sub_explicit(&counts->bytes, (long long)malloc_usable_size(block),
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&counts->blocks, 1, memory_order_relaxed);
  }
}

__attribute__((constructor)) static void map_counts(void) {
  const char* directory = getenv("KFAST_ALLOCATED");
  char path[256];
  if (directory == NULL) {
    return;
  }
  snprintf(path, sizeof path, "%s/%d", directory, (int)getpid());
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  void* at = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, sizeof(struct counts)) == 0) {
    at = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (at == MAP_FAILED) {
    perror(path);
    abort();
  }
  close(fd);
  struct counts* mapped = at;
  mapped->bytes = until_mapped.bytes;
  mapped->blocks = until_mapped.blocks;
  counts = mapped;
}

void* malloc(size_t size) {
  return took(__libc_malloc(size));
}

void* calloc(size_t count, size_t size) {
  return took(__libc_calloc(count, size));
}

void* realloc(void* block, size_t size) {
  gives(block);
  void* grown = __libc_realloc(block, size);
  if (grown == NULL && size != 0) {
    took(block);
  }
  return took(grown);
}

void* memalign(size_t alignment, size_t size) {
  return took(__libc_memalign(alignment, size));
}

void* aligned_alloc(size_t alignment, size_t size) {
  return took(__libc_memalign(alignment, size));
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  void* block = took(__libc_memalign(alignment, size));
  if (block == NULL) {
    return ENOMEM;
  }
  *out = block;
  return 0;
}

void free(void* block) {
  gives(block);
  __libc_free(block);
}
