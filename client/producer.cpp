// Coming back after kfastd was replaced, waiting, and what the worker asks for.
#include "producer.hpp"

#include <poll.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "kfast/ipc/kill_point.hpp"

namespace kfast::client {
namespace {

/// Messages that one call takes from the socket at most.
constexpr int kMostMessages = 16;

// librdkafka's numbers (rd_kafka_resp_err_t), stable by its ABI.
constexpr std::int32_t kErrorSsl = -181;             // _SSL
constexpr std::int32_t kErrorAuthentication = -169;  // _AUTHENTICATION
constexpr std::int32_t kErrorCluster = 31;           // CLUSTER_AUTHORIZATION_FAILED

}  // namespace

Producer::~Producer() {
  if (guard_.is_open() && guard_.forked()) {
    session_.abandon();
    return;
  }
  channel_.let_go();
  KFAST_KILL_POINT("client.close.before");
  session_.say_close(channel_.number());
  KFAST_KILL_POINT("client.close.told");
  session_.drop();
  if (threads_open_) {
    threads_.close();
  }
}

ChannelFds Producer::take_fds(bool resumed) noexcept {
  ChannelFds fds;
  std::size_t next = 0;
  if (!resumed) {
    fds.c2d = session_.take_fd(next++);
  }
  fds.d2c = session_.take_fd(next++);
  fds.doorbell = session_.take_fd(next++);
  fds.shard = session_.take_fd(next);
  return fds;
}

void Producer::poll_socket(int socket, int timeout_ms) noexcept {
  pollfd watched{socket, POLLIN, 0};  // a negative socket is ignored by poll
  static_cast<void>(::poll(&watched, 1, timeout_ms));
}

// ---- the session, between the worker's calls ----------------------------------------------------

void Producer::look(std::int64_t now_ms) noexcept {
  last_look_ms_ = now_ms;
  advance();
  pass_wake_on();
  look_every_ms_ = kLookEveryMs;
  if (!session_.is_open() && !closed_) {
    const std::int64_t due = session_.away() ? session_.due_in_ms() : kHandshakeLookMs;
    const auto soon = static_cast<std::uint64_t>(due < 1 ? 1 : due);
    look_every_ms_ = soon < kLookEveryMs ? soon : kLookEveryMs;
  }
}

void Producer::advance() noexcept {
  if (closed_) {
    return;
  }
  if (session_.away()) {
    if (!session_.due()) {
      return;
    }
    changed_ = true;
    if (session_.connect(away_why_) != KFAST_OK) {
      if (session_.ended()) {
        close_for_good(away_why_.c_str());
      } else {
        session_.back_off();
      }
      return;
    }
  }
  for (int messages = 0; messages < kMostMessages; ++messages) {
    const Event event = session_.step(away_why_);
    changed_ |= event != Event::nothing;
    switch (event) {
      case Event::nothing:
        return;
      case Event::welcomed:
        hand_back();
        break;
      case Event::opened:
        take_over();
        break;
      case Event::wake:
        channel_.disarm();
        wake_taken_ = true;
        break;
      case Event::noticed:
        break;
      case Event::lost:
        return;
      case Event::ended:
        close_for_good(away_why_.c_str());
        return;
    }
    if (closed_ || session_.away()) {
      return;
    }
  }
}

void Producer::hand_back() noexcept {
  KFAST_KILL_POINT("client.resume.before_ask");
  const ChannelMemory& memory = channel_.memory();
  if (!session_.ask_to_resume(memory.geometry(), memory.c2d_fd(), memory.d2c_fd(), away_why_) &&
      session_.ended()) {
    close_for_good(away_why_.c_str());
  }
  KFAST_KILL_POINT("client.resume.after_ask");
}

void Producer::take_over() noexcept {
  KFAST_KILL_POINT("client.resume.opened");
  int code = KFAST_ERR_PROTOCOL;
  if (session_.fd_count() == kFdsOfResumed) {
    ChannelFds fds = take_fds(true);
    code = channel_.hand_over(session_.opened(), fds, away_why_);
  } else {
    away_why_.format("kfastd passed %zu descriptors where %zu belong: it is broken",
                     session_.fd_count(), kFdsOfResumed);
  }
  KFAST_KILL_POINT("client.resume.before_confirm");
  if (code == KFAST_ERR_NO_MEMORY) {
    session_.back_off();
  } else if (code != KFAST_OK) {
    close_for_good(away_why_.c_str());
  } else if (session_.confirm(away_why_)) {
    KFAST_KILL_POINT("client.resume.after_confirm");
    // Whoever waited for reports waited with the daemon that is gone.
    wake_taken_ = true;
  }
}

void Producer::close_for_good(const char* why) noexcept {
  closed_why_.format("%s", why);
  closed_ = barred_ = true;
  changed_ = true;
  session_.drop();
  wake_taken_ = true;  // a worker that waits for reports shall hear of it
}

void Producer::pass_wake_on() noexcept {
  if (wake_taken_) [[unlikely]] {
    wake_taken_ = false;
    session_.readiness().ring_in(0);
  }
}

/// Waits for kfastd until the deadline, at most `longest_ms` if that is not negative. False: the
/// deadline has passed; looked once more all the same, so that the error names what is so now.
bool Producer::wait(const Deadline& deadline, int longest_ms) noexcept {
  if (deadline.passed()) {
    advance();
    return false;
  }
  const std::int64_t longest = session_.away() ? session_.due_in_ms() : longest_ms;
  if (is_shared()) {
    // Also those whose event loop waits for the descriptor: this wait may be long.
    pass_wake_on();
    tell_others();
    if (threads_.wait(session_.socket(), deadline.poll_ms(longest))) {
      advance();
    }
    return true;
  }
  poll_socket(session_.socket(), deadline.poll_ms(longest));
  advance();
  return true;
}

void Producer::tell_others() noexcept {
  const bool moved = channel_.reports_moved();
  if (changed_ || moved) {
    changed_ = false;
    threads_.tell();
  }
}

void Producer::end_turn(int begun, bool failed) noexcept {
  tell_others();
  if (failed) {
    threads_.keep_words(error_);
  }
  threads_.unlock(begun);
}

// ---- what the worker asks for -------------------------------------------------------------------

int Producer::reports(kfast_report_t* out, void** opaques, std::size_t max) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (out == nullptr && max != 0) {
    error_.set("reports may not be NULL when max is not 0");
    return KFAST_ERR_INVALID;
  }
  max = max > INT_MAX ? INT_MAX : max;
  std::ptrdiff_t count = channel_.read_reports(out, max);
  const bool asked = count >= 0 && static_cast<std::size_t>(count) < max;
  if (asked) {
    // Everything is read: make the descriptor go quiet, and ask to be woken at the next report. The
    // order matters: take old wake-ups, ask for a new one, look again.
    session_.readiness().quiet();
    advance();
    wake_taken_ = false;
    if (session_.away() && !closed_) {
      session_.readiness().ring_in(session_.due_in_ms());
    }
    std::ptrdiff_t more = 0;
    do {
      channel_.arm();
      more = channel_.read_reports(out + count, max - static_cast<std::size_t>(count));
      count = more < 0 ? more : count + more;
    } while (more > 0 && static_cast<std::size_t>(count) < max);
  }
  if (count < 0) {
    return malformed();
  }
  if (count != 0 && (opaques != nullptr || !opaques_.empty())) {
    take_opaques(out, opaques, static_cast<std::size_t>(count));
  }
  // The next call says why; or it finds what there was no room for, which may have come before the
  // wake-up was asked for, so that none will tell of it.
  if ((closed_ && count > 0) || (asked && static_cast<std::size_t>(count) == max)) {
    session_.readiness().ring_in(0);
  }
  return count == 0 && max != 0 && closed_ ? closed() : static_cast<int>(count);
}

int Producer::flush(int timeout_ms) noexcept {
  // Other threads may send all the while.
  return guard_.usable() ? wait_for_outcomes(channel_.tail(), timeout_ms) : unusable();
}

int Producer::flush_to(std::int64_t position, int timeout_ms) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (position < 0 || static_cast<std::uint64_t>(position) >= channel_.tail()) {
    error_.format("position %lld: no send returned it", static_cast<long long>(position));
    return KFAST_ERR_INVALID;
  }
  // The head stands at the ends of frames only, so it is past the record when it is past its first
  // byte.
  return wait_for_outcomes(static_cast<std::uint64_t>(position) + 1, timeout_ms);
}

int Producer::wait_for_outcomes(std::uint64_t end, int timeout_ms) noexcept {
  const Deadline deadline(timeout_ms);
  advance();
  int result = KFAST_OK;
  bool in_time = true;
  while (!channel_.has_outcomes_until(end)) {
    if (closed_) {
      result = closed();
      break;
    }
    if (!in_time) {
      result = timed_out();
      break;
    }
    channel_.arm();
    if (channel_.has_outcomes_until(end)) {
      break;
    }
    in_time = wait(deadline, -1);
  }
  pass_wake_on();
  return result;
}

int Producer::purge() noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (closed_) {
    return closed();
  }
  // First: a kfastd that comes back in the look below shall find it.
  channel_.purge();
  look_now_and_then(wall_ms());
  return KFAST_OK;
}

std::uint64_t Producer::used_bytes() noexcept {
  if (!guard_.usable()) {
    return 0;
  }
  look_now_and_then(wall_ms());
  return channel_.used_bytes();
}

std::int32_t Producer::topic(const char* name) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  const std::int32_t topic =
      name == nullptr ? std::int32_t{KFAST_ERR_TOPIC_NAME} : channel_.topics().number_of(name);
  if (topic == KFAST_ERR_TOPIC_NAME) {
    error_.format(
        "\"%.260s\" is not a legal topic name: 1 to 249 characters of [a-zA-Z0-9._-], and neither "
        "\".\" nor \"..\"",
        name == nullptr ? "(null)" : name);
  } else if (topic == KFAST_ERR_TOO_MANY_TOPICS) {
    error_.format("the channel's table of %u topics is full: raise the option topics",
                  static_cast<unsigned>(channel_.topics().capacity()));
  }
  return topic;
}

int Producer::report_text(const kfast_report_t* report, char* text, std::size_t size) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (report == nullptr || text == nullptr || size == 0) {
    error_.set("kfast_report_text wants a report and room for its text");
    return KFAST_ERR_INVALID;
  }
  char why[ipc::kRefusalText] = "";
  if (report->error == kErrorAuthentication || report->error == kErrorSsl ||
      report->error == kErrorCluster) {
    channel_.get_refusal(why);
  }
  std::snprintf(text, size, "%s%s%s", report->error == 0 ? "" : kfast_kafka_error(report->error),
                why[0] == '\0' ? "" : ": ", why);
  return KFAST_OK;
}

const char* Producer::topic_name(std::int32_t topic) const noexcept {
  return guard_.usable() ? channel_.topics().name_of(topic) : nullptr;
}

int Producer::fd() const noexcept {
  return guard_.forked() ? int{KFAST_ERR_FORKED} : session_.readiness().fd();
}

const char* Producer::last_error() const noexcept {
  if (guard_.forked()) {
    return kfast_strerror(KFAST_ERR_FORKED);
  }
  return is_shared() ? threads_.last_words() : error_.c_str();
}

// ---- what went wrong ----------------------------------------------------------------------------

int Producer::unusable() noexcept {
  if (guard_.forked()) {
    error_.set("this handle belongs to the parent process: open a producer in the child");
    return KFAST_ERR_FORKED;
  }
  error_.set("this producer is not open yet: call kfast_producer_ready until it answers 0");
  return KFAST_ERR_INVALID;
}

int Producer::closed() noexcept {
  error_.format("kfastd ended this channel for good: %.400s", closed_why_.c_str());
  return KFAST_ERR_CLOSED;
}

int Producer::malformed() noexcept {
  close_for_good(
      "kfastd wrote a report that makes no sense: it is broken; see its log, and report the bug");
  return closed();
}

int Producer::timed_out() noexcept {
  const auto kept = static_cast<unsigned long long>(channel_.used_bytes());
  if (session_.is_open()) {
    error_.format(
        "kfastd has no outcome yet for %llu bytes of the ring; they stay there and are still "
        "delivered: are the brokers away? See `kfastctl health`",
        kept);
  } else {
    error_.format(
        "kfastd is away: %llu bytes are kept in the ring and delivered when it is back and this "
        "worker calls the library. %.300s",
        kept, away_why_.c_str());
  }
  return KFAST_ERR_TIMED_OUT;
}

}  // namespace kfast::client
