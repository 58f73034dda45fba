// What lets several threads use one producer (the option thread.safe): a lock, and how calls wait
// without it.
#pragma once

#include <pthread.h>

#include <cstdint>

#include "error_text.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::client {

/// All of it is private to the process: kfastd and other workers never wait for a lock of ours.
///
/// No wake-up is lost. A call that waits holds the lock while it asks kfastd for a wake-up, looks
/// whether what it waits for is there, and goes into wait(), which alone gives the lock up. One
/// waiting thread polls the session's socket; the others sleep on the condition variable. What can
/// make a wait's condition true is then either
/// - a packet of kfastd: it lies in the socket until somebody takes it. The poller finds it, or
///   another thread took it under the lock, and that thread calls tell() before it gives the lock
///   up;
/// - another thread's doing under the lock (it read reports, was handed over to another kfastd, the
///   channel ended): it calls tell() before it gives the lock up.
/// tell() writes the eventfd, which stays readable until the poller takes it under the lock: it
/// does not matter whether the poller is in poll() already or has only just given the lock up. A
/// thread sleeps only while another polls, and the poller, when it comes back for whatever reason
/// (its deadline may be the earliest of all), wakes all sleepers before it gives the lock up. No
/// sleeper can be between its look and its sleep then, since that is one step under the lock. The
/// first of them that still has to wait polls next. Each looks again before it does, so also a
/// wake-up that was asked for by one and came for another is asked for again.
class Threads {
 public:
  /// Returns 0 or a KFAST_ERR.
  [[nodiscard]] int open(ErrorText& why) noexcept;
  /// Only when no thread is in a call, and never in a forked child, where another thread's copy of
  /// the lock may be locked for ever.
  void close() noexcept;

  /// Returns what unlock() wants back. A thread that is to be cancelled is so after its call, or it
  /// would leave the lock locked, or others without a poller.
  [[nodiscard]] int lock() noexcept;
  void unlock(int cancel_state) noexcept;

  /// What others wait for may have changed: wakes all who wait, the poller first.
  void tell() noexcept;

  /// Gives up the lock until something may have changed or the time is over, -1 for never. True:
  /// this thread polled, and is the one to look at the session.
  [[nodiscard]] bool wait(int socket, int timeout_ms) noexcept;

  /// Keeps the words of a call that failed, for last_words() in the same thread.
  void keep_words(const ErrorText& words) const noexcept;
  [[nodiscard]] const char* last_words() const noexcept;

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
  ipc::Fd bell_;  // an eventfd: wakes the poller
  bool polling_ = false;
  bool told_ = false;  // the bell was rung for the present poller
  unsigned sleeping_ = 0;
  std::uint64_t number_ = 0;  // of this producer, among all of the process
};

}  // namespace kfast::client
