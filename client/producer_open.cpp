// Opening: the set-up in this process, then the hand-shake with kfastd, which may go on over
// several calls; and what an event loop's own connection to kfastd says.
#include <poll.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "producer.hpp"

namespace kfast::client {

int Producer::open(const Options& options, ErrorText& why) noexcept {
  int code = begin(options, why);
  if (code != KFAST_OK) {
    return code;
  }
  code = ready(options_.connect_timeout_ms());
  if (code == KFAST_ERR_TIMED_OUT && !session_.away()) {
    why.format(
        "kfastd accepted the connection on %s and gave no answer in %lld ms: it hangs, is stopped "
        "or is overloaded; see `kfastctl health`, or raise connect.timeout.ms",
        session_.path(), static_cast<long long>(options_.connect_timeout_ms()));
  } else {
    why.take(error_);
  }
  return code;
}

int Producer::begin(const Options& options, ErrorText& why) noexcept {
  options_ = options;
  if (!guard_.open()) {
    why.format(
        "cannot set up the guard against fork(): %s; it needs one page and Linux 4.14 or newer",
        std::strerror(errno));
    return KFAST_ERR_NO_MEMORY;
  }
  if (const int code = options_.resolve(why); code != KFAST_OK) {
    return code;
  }
  if (const int code = session_.prepare(options_, why); code != KFAST_OK) {
    return code;
  }
  if (options_.thread_safe()) {
    if (const int code = threads_.open(why); code != KFAST_OK) {
      return code;
    }
    threads_open_ = true;
  }
  // An event loop that only watches the descriptor shall make the first call of ready(), too.
  session_.readiness().ring_in(0);
  return KFAST_OK;
}

int Producer::ready(std::int64_t timeout_ms) noexcept {
  if (guard_.usable()) {
    return KFAST_OK;
  }
  if (guard_.forked()) {
    return unusable();
  }
  session_.readiness().quiet();
  const int code = open_session(Deadline(timeout_ms));
  if (code == KFAST_ERR_TIMED_OUT && !session_.away()) {
    return code;
  }
  if (code != KFAST_OK) {
    // Where kfastd was lost, the session has put the next attempt off itself.
    if (!session_.away() || session_.due()) {
      session_.back_off();
    }
    return code;
  }
  session_.settle();
  last_look_ms_ = wall_ms();
  look_every_ms_ = kLookEveryMs;
  guard_.ready(options_.thread_safe());
  // kfastd has not been asked to tell of reports. So that a worker which waits before it ever looks
  // does not wait for ever, the descriptor has it look once.
  session_.readiness().ring_in(0);
  return KFAST_OK;
}

int Producer::open_session(const Deadline& deadline) noexcept {
  // A full queue of new sessions is the one failure to connect that passes by itself; there is
  // nothing to poll for.
  while (session_.away()) {
    const int code = session_.connect(error_);
    if (code != KFAST_OK && (code != KFAST_ERR_TIMED_OUT || deadline.passed())) {
      return code;
    }
    if (code != KFAST_OK) {
      poll_socket(-1, deadline.poll_ms(kHandshakeLookMs));
    }
  }
  for (;;) {
    switch (session_.step(error_)) {
      case Event::nothing:
        if (deadline.passed()) {
          error_.format(
              "kfastd accepted the connection on %s and has not answered yet: call again; if it "
              "goes on like this, kfastd hangs, is stopped or is overloaded: see `kfastctl health`",
              session_.path());
          return KFAST_ERR_TIMED_OUT;
        }
        poll_socket(session_.socket(), deadline.poll_ms());
        break;
      case Event::welcomed:
        if (!session_.ask_to_open(error_)) {
          return session_.code();
        }
        break;
      case Event::opened:
        return open_channel();
      case Event::lost:
      case Event::ended:
        return session_.code();
      case Event::wake:
      case Event::noticed:
        break;
    }
  }
}

int Producer::open_channel() noexcept {
  if (session_.fd_count() != kFdsOfOpened) {
    error_.format("kfastd passed %zu descriptors where %zu belong: it is broken, or not kfastd",
                  session_.fd_count(), kFdsOfOpened);
    return KFAST_ERR_PROTOCOL;
  }
  ChannelFds fds = take_fds(false);
  return channel_.open(session_.opened(), fds, options_.reports(), error_);
}

int Producer::bell(void* hello, char* path, std::size_t path_size) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (hello == nullptr || path == nullptr) {
    error_.set("hello and path may not be NULL");
    return KFAST_ERR_INVALID;
  }
  advance();
  pass_wake_on();
  if (closed_) {
    return closed();
  }
  if (!session_.is_open()) {
    error_.format("kfastd is away, so there is no session to ring for. %.400s", away_why_.c_str());
    return KFAST_ERR_NO_DAEMON;
  }
  const int size =
      std::snprintf(path, path_size, "%s/%s", options_.socket_dir(), ipc::kBellSocketName);
  if (size < 0 || static_cast<std::size_t>(size) >= path_size) {
    error_.format("path_size is %zu: the bell socket's path has %d bytes and a NUL", path_size,
                  size);
    return KFAST_ERR_INVALID;
  }
  const ipc::BellHello said = session_.bell_hello();
  static_assert(sizeof said <= KFAST_BELL_BYTES);
  std::memcpy(hello, &said, sizeof said);
  return static_cast<int>(sizeof said);
}

}  // namespace kfast::client
