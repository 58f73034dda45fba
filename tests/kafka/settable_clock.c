/* Preloaded (LD_PRELOAD): clocks that a test sets, for the processes that it starts, while the machine's own go on for
 * everybody else. $KFAST_TEST_CLOCK names a file with two int64 of milliseconds, which may be changed at any time: by how
 * much the wall clock is ahead, and, unless it is 0, where the coarse monotonic clock stands, which kfastd tells the time
 * of a round by. The coarse wall clock stands with it. Waits that end at a wall-clock time end by the set clock, as they
 * do when the machine's is set. */
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

static const struct clocks {
  _Atomic int64_t ahead_ms;
  _Atomic int64_t stands_at_ms;
} * clocks;

__attribute__((constructor)) static void open_clock(void) {
  const char* path = getenv("KFAST_TEST_CLOCK");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *clocks, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0)
    close(fd);
  clocks = at == MAP_FAILED ? NULL : at;
}

static int real_clock(clockid_t clock, struct timespec* now) {
  return (int)syscall(SYS_clock_gettime, clock, now);
}

static int64_t in_ms(const struct timespec* time) {
  return time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

static void add_ms(struct timespec* time, int64_t ms) {
  time->tv_sec += ms / 1000;
  time->tv_nsec += ms % 1000 * 1000000;
  if (time->tv_nsec < 0) {
    time->tv_nsec += 1000000000;
    --time->tv_sec;
  } else if (time->tv_nsec >= 1000000000) {
    time->tv_nsec -= 1000000000;
    ++time->tv_sec;
  }
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  int result = real_clock(clock, now);
  if (result != 0 || clocks == NULL)
    return result;
  int64_t stands_at_ms = clocks->stands_at_ms;
  if (stands_at_ms != 0 && clock == CLOCK_MONOTONIC_COARSE) {
    now->tv_sec = stands_at_ms / 1000;
    now->tv_nsec = stands_at_ms % 1000 * 1000000;
  } else if (stands_at_ms != 0 && clock == CLOCK_REALTIME_COARSE) {
    struct timespec monotonic;
    real_clock(CLOCK_MONOTONIC_COARSE, &monotonic);
    add_ms(now, stands_at_ms - in_ms(&monotonic));
  }
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
    add_ms(now, clocks->ahead_ms);
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
