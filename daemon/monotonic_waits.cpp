// librdkafka's waits, though the wall clock is set. All of its timed waits are C11's cnd_timedwait,
// whose end is a wall-clock time: when the clock is set back by a day while brokers are away, its
// threads sleep for a day, and no record times out (librdkafka issue 2145; tried). This definition
// takes the place of libc's in kfastd: the same wait, for as long as it was when it began.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <ctime>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t in_ns(const timespec& time) {
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return in_ns(now);
}

}  // namespace

// glibc's C11 conditions and mutexes are its POSIX ones, as its own cnd_timedwait uses them.
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t) && sizeof(mtx_t) == sizeof(pthread_mutex_t));

extern "C" [[gnu::visibility("default")]] int cnd_timedwait(cnd_t* condition, mtx_t* mutex,
                                                            const timespec* until) {
  const std::int64_t end = now_ns(CLOCK_MONOTONIC) + (in_ns(*until) - now_ns(CLOCK_REALTIME));
  timespec monotonic{};
  monotonic.tv_sec = static_cast<time_t>(end < 0 ? 0 : end / kSecond);
  monotonic.tv_nsec = static_cast<long>(end < 0 ? 0 : end % kSecond);
  switch (::pthread_cond_clockwait(reinterpret_cast<pthread_cond_t*>(condition),
                                   reinterpret_cast<pthread_mutex_t*>(mutex), CLOCK_MONOTONIC,
                                   &monotonic)) {
    case 0:
      return thrd_success;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}
