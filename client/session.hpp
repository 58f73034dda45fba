// The session: one socket to kfastd, its hand-shake, and coming back to it after it went away.
#pragma once

#include <cstdint>

#include "error_text.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"
#include "options.hpp"
#include "readiness.hpp"
#include "socket.hpp"

namespace kfast::client {

/// What a step of the session brought.
enum class Event {
  nothing,   // no message is there
  welcomed,  // the hand-shake is done: ask for a channel, or hand one back
  opened,    // the answer to that, in opened() and take_fds()
  wake,      // reports or room may be there
  noticed,   // a last word of kfastd, kept for when it hangs up
  lost,  // dropped, and worth another attempt: kfastd is away, not ready, or what answered makes no
         // sense
  ended,  // refused or thrown out for good
};

/// A state machine that never waits: away -> greeting -> ready -> asking -> open, and from each
/// back to away. One thread.
class Session {
 public:
  /// Prepares for the options, which must outlive the session. Returns 0 or a KFAST_ERR.
  [[nodiscard]] int prepare(const Options& options, ErrorText& why) noexcept;

  /// away -> greeting: connects and says hello. Returns 0 or a KFAST_ERR with cause and cure.
  [[nodiscard]] int connect(ErrorText& why) noexcept;

  /// Takes at most one message and goes on by it. For lost and ended `why` and code() say the
  /// reason.
  [[nodiscard]] Event step(ErrorText& why) noexcept;

  /// ready -> asking. False: the session was lost, or is ended(), as in step().
  [[nodiscard]] bool ask_to_open(ErrorText& why) noexcept;
  [[nodiscard]] bool ask_to_resume(const ipc::Geometry& geometry, int c2d, int d2c,
                                   ErrorText& why) noexcept;

  /// Says that the resumed channel is in use here. False: the session was lost.
  [[nodiscard]] bool confirm(ErrorText& why) noexcept;

  /// Says that the channel is no longer needed; kfastd drains it. Never waits.
  void say_close(std::uint32_t channel) noexcept;

  /// Ends the connection, also for copies of the socket in forked children. After it the session is
  /// away, and due at once.
  void drop() noexcept;
  /// Drops the socket and puts the next attempt off: 10 ms, doubling to 1 s, with jitter. Rings the
  /// descriptor then.
  void back_off() noexcept;
  /// The attempt was a success: the next one is put off by 10 ms again.
  void settle() noexcept { delay_ms_ = 0; }
  /// In a forked child: closes the copy of the socket without touching what the parent shares.
  void abandon() noexcept { socket_.reset(); }

  [[nodiscard]] bool away() const noexcept { return state_ == State::away; }
  [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool due() const noexcept;
  /// Milliseconds until the next attempt; only while away().
  [[nodiscard]] std::int64_t due_in_ms() const noexcept;
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  [[nodiscard]] const char* path() const noexcept { return path_; }
  [[nodiscard]] int code() const noexcept { return code_; }
  [[nodiscard]] const ipc::Opened& opened() const noexcept { return opened_; }
  /// What binds a bell connection to this session; only while is_open().
  [[nodiscard]] ipc::BellHello bell_hello() const noexcept;
  /// The descriptors of the last answer, fd_count() of them.
  [[nodiscard]] ipc::Fd take_fd(std::size_t index) noexcept;
  [[nodiscard]] std::size_t fd_count() const noexcept { return incoming_.fd_count; }

  [[nodiscard]] Readiness& readiness() noexcept { return readiness_; }
  [[nodiscard]] const Readiness& readiness() const noexcept { return readiness_; }

 private:
  enum class State { away, greeting, ready, asking, open };

  Event lose(int code) noexcept;
  Event end(int code) noexcept;
  Event hang_up(ErrorText& why) noexcept;
  bool ask(const void* message, std::size_t size, const int* fds, std::size_t fd_count,
           ErrorText& why) noexcept;
  Event take_message(ErrorText& why) noexcept;
  Event take_welcome(ErrorText& why) noexcept;
  Event take_opened(ErrorText& why) noexcept;
  Event take_refusal(ipc::RefusalCode code, const char* text, ErrorText& why) noexcept;

  const Options* options_ = nullptr;
  Readiness readiness_;
  ipc::Fd socket_;
  State state_ = State::away;
  bool ended_ = false;
  bool was_open_ = false;  // the channel exists: from now on sessions resume it
  bool noticed_ = false;   // notice_ is filled in
  int code_ = 0;
  std::uint32_t request_ = 0;
  std::int64_t due_ms_ = 0;
  std::int64_t delay_ms_ = 0;
  std::uint64_t jitter_ = 0;
  ipc::Notice notice_{};
  ipc::Opened opened_{};
  std::uint64_t number_ = 0;  // kfastd's number of this session, and the secret that goes with it
  std::uint8_t token_[ipc::kTokenBytes] = {};
  char daemon_version_[ipc::kVersionText] = "";
  char path_[sizeof(sockaddr_un::sun_path)] = "";
  Incoming incoming_;
};

}  // namespace kfast::client
