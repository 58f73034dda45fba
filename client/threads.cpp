#include "threads.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

#include "kfast/kfast.h"

namespace kfast::client {
namespace {

/// The last failure's words, one for each thread that had one: a sentence of the producer itself
/// could be written anew by another thread while it is read.
struct Words {
  std::uint64_t producer = 0;
  ErrorText text;
};

pthread_once_t words_once = PTHREAD_ONCE_INIT;
pthread_key_t words_key;
int words_error = 0;
std::atomic<std::uint64_t> producers{0};

void make_words_key() noexcept {
  // libc's own free, which is there also for a thread that ends after libkfast was unloaded.
  words_error = ::pthread_key_create(&words_key, std::free);
}

Words* words_of_thread() noexcept {
  void* words = ::pthread_getspecific(words_key);
  if (words == nullptr) {
    words = std::malloc(sizeof(Words));
    if (words == nullptr) {
      return nullptr;
    }
    new (words) Words;
    if (::pthread_setspecific(words_key, words) != 0) {
      std::free(words);
      return nullptr;
    }
  }
  return static_cast<Words*>(words);
}

timespec in_ms(int ms) noexcept {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += ms / 1000;
  at.tv_nsec += ms % 1000 * 1'000'000L;
  if (at.tv_nsec >= 1'000'000'000L) {
    at.tv_nsec -= 1'000'000'000L;
    ++at.tv_sec;
  }
  return at;
}

}  // namespace

int Threads::open(ErrorText& why) noexcept {
  ::pthread_once(&words_once, make_words_key);
  if (words_error != 0) {
    why.format("no key for the threads' errors: %s; thread.safe needs one per process",
               std::strerror(words_error));
    return KFAST_ERR_NO_MEMORY;
  }
  bell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell_.valid()) {
    why.format("no descriptor for the producer's threads: %s; raise RLIMIT_NOFILE (ulimit -n)",
               std::strerror(errno));
    return KFAST_ERR_NO_MEMORY;
  }
  // A clock that is set must not make a time-out longer.
  pthread_condattr_t attributes;
  ::pthread_condattr_init(&attributes);
  ::pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  ::pthread_cond_init(&changed_, &attributes);
  ::pthread_condattr_destroy(&attributes);
  number_ = producers.fetch_add(1, std::memory_order_relaxed) + 1;
  return KFAST_OK;
}

void Threads::close() noexcept {
  ::pthread_cond_destroy(&changed_);
  ::pthread_mutex_destroy(&mutex_);
}

int Threads::lock() noexcept {
  int cancel_state = 0;
  ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  ::pthread_mutex_lock(&mutex_);
  return cancel_state;
}

void Threads::unlock(int cancel_state) noexcept {
  ::pthread_mutex_unlock(&mutex_);
  ::pthread_setcancelstate(cancel_state, nullptr);
}

void Threads::tell() noexcept {
  if (polling_ && !told_) {
    told_ = true;
    const std::uint64_t one = 1;
    while (::write(bell_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
  }
}

bool Threads::wait(int socket, int timeout_ms) noexcept {
  if (polling_) {
    ++sleeping_;
    if (timeout_ms < 0) {
      ::pthread_cond_wait(&changed_, &mutex_);
    } else {
      const timespec until = in_ms(timeout_ms);
      ::pthread_cond_timedwait(&changed_, &mutex_, &until);
    }
    --sleeping_;
    return false;
  }
  polling_ = true;
  ::pthread_mutex_unlock(&mutex_);
  // Another thread may drop the session meanwhile, and the socket's number may then be another
  // file's: polling takes nothing from it, and the bell rings.
  pollfd watched[] = {{socket, POLLIN, 0}, {bell_.get(), POLLIN, 0}};
  static_cast<void>(::poll(watched, 2, timeout_ms));
  ::pthread_mutex_lock(&mutex_);
  polling_ = false;
  if (told_) {
    told_ = false;
    std::uint64_t count = 0;
    while (::read(bell_.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
  }
  if (sleeping_ != 0) {
    ::pthread_cond_broadcast(&changed_);
  }
  return true;
}

void Threads::keep_words(const ErrorText& words) const noexcept {
  if (Words* kept = words_of_thread(); kept != nullptr) {
    kept->producer = number_;
    kept->text.take(words);
  }
}

const char* Threads::last_words() const noexcept {
  const auto* kept = static_cast<const Words*>(::pthread_getspecific(words_key));
  return kept == nullptr || kept->producer != number_ ? "" : kept->text.c_str();
}

}  // namespace kfast::client
