/* Preloaded (LD_PRELOAD): a wall clock that a test sets, for the processes that it starts, while the machine's own goes
 * on for everybody else. $KFAST_TEST_CLOCK names a file with the offset, an int64 of milliseconds, which may be changed
 * at any time. Waits that end at a wall-clock time end by the set clock, as they do when the machine's is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t* offset_ms;

__attribute__((constructor)) static void open_clock(void) {
  const char* path = getenv("KFAST_TEST_CLOCK");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0)
    close(fd);
  offset_ms = at == MAP_FAILED ? NULL : at;
}

static int real_clock(clockid_t clock, struct timespec* now) {
  return (int)syscall(SYS_clock_gettime, clock, now);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  int result = real_clock(clock, now);
  if (result == 0 && offset_ms != NULL &&
      (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t by = *offset_ms;
    now->tv_sec += by / 1000;
    now->tv_nsec += by % 1000 * 1000000;
    if (now->tv_nsec < 0) {
      now->tv_nsec += 1000000000;
      --now->tv_sec;
    } else if (now->tv_nsec >= 1000000000) {
      now->tv_nsec -= 1000000000;
      ++now->tv_sec;
    }
  }
  return result;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  (void)zone;
  struct timespec precise;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}

time_t time(time_t* where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where != NULL)
    *where = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec* now, int base) {
  return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

/* Looks at the clock again and again, which may be set meanwhile. */
int pthread_cond_timedwait(pthread_cond_t* restrict condition, pthread_mutex_t* restrict mutex,
                           const struct timespec* restrict until) {
  const int64_t slice = 20000000;
  for (;;) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec > until->tv_sec ||
        (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
      return ETIMEDOUT;
    int64_t left = (until->tv_sec - now.tv_sec) * 1000000000 + until->tv_nsec - now.tv_nsec;
    struct timespec look;
    real_clock(CLOCK_MONOTONIC, &look);
    look.tv_nsec += left < slice ? left : slice;
    if (look.tv_nsec >= 1000000000) {
      look.tv_nsec -= 1000000000;
      ++look.tv_sec;
    }
    int result = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &look);
    if (result != ETIMEDOUT)
      return result;
  }
}

/* glibc's C11 conditions and mutexes are its POSIX ones. */
int cnd_timedwait(cnd_t* restrict condition, mtx_t* restrict mutex,
                  const struct timespec* restrict until) {
  switch (pthread_cond_timedwait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex, until)) {
    case 0:
      return thrd_success;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}
