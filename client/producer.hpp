// A producer: one session, one channel, and what happens between the two.
#pragma once

#include <cstddef>
#include <cstdint>

#include "channel.hpp"
#include "clocks.hpp"
#include "error_text.hpp"
#include "fork_guard.hpp"
#include "kfast/kfast.h"
#include "opaques.hpp"
#include "options.hpp"
#include "session.hpp"
#include "threads.hpp"

namespace kfast::client {

/// What a kfast_producer_t points to. It starts no thread: the session goes on inside of the
/// worker's calls. One thread, or, where is_shared(), several, each of which calls between
/// begin_turn() and end_turn(); in a forked child every call answers KFAST_ERR_FORKED and the
/// destructor gives back what is private to the child.
class Producer {
 public:
  Producer() noexcept = default;
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;
  ~Producer();

  /// begin() and ready() in one, for at most the option connect.timeout.ms.
  [[nodiscard]] int open(const Options& options, ErrorText& why) noexcept;
  /// What needs no kfastd. Until ready() has answered KFAST_OK every other call is refused.
  [[nodiscard]] int begin(const Options& options, ErrorText& why) noexcept;
  /// Goes on with the hand-shake, for at most `timeout_ms`, negative for ever: KFAST_OK,
  /// KFAST_ERR_TIMED_OUT when it is still under way, or another error, after which it begins anew.
  [[nodiscard]] int ready(std::int64_t timeout_ms) noexcept;

  /// Neither a forked child's nor shared by threads: what kfast_send asks first.
  [[nodiscard]] bool is_plain() const noexcept { return guard_.plain(); }
  [[nodiscard]] bool is_shared() const noexcept { return guard_.locked(); }
  [[nodiscard]] bool is_usable() const noexcept { return guard_.usable(); }
  /// Returns what end_turn() wants back. `failed`: the call set the words for its failure, and did
  /// not wait after it.
  [[nodiscard]] int begin_turn() noexcept { return threads_.lock(); }
  void end_turn(int begun, bool failed) noexcept;
  /// The error of a call in a forked child, or before ready().
  [[nodiscard]] int unusable() noexcept;

  /// Only when is_usable().
  [[nodiscard]] std::int64_t send(std::int32_t topic, const void* key, std::size_t key_size,
                                  const void* value, std::size_t value_size) noexcept;
  /// `until`, when given, is the deadline that `timeout_ms` stands for.
  [[nodiscard]] std::int64_t send_record(Record& record, int timeout_ms,
                                         const Deadline* until = nullptr) noexcept;
  [[nodiscard]] std::int64_t send_one(const kfast_record_t* record, int timeout_ms,
                                      const Deadline* until = nullptr) noexcept;
  [[nodiscard]] int send_wait(const kfast_record_t* record, int timeout_ms,
                              kfast_report_t* report) noexcept;
  [[nodiscard]] int wait_report(std::int64_t position, int timeout_ms,
                                kfast_report_t* report) noexcept;
  [[nodiscard]] int send_batch(kfast_record_t* records, std::size_t count, int timeout_ms) noexcept;
  [[nodiscard]] int reserve(const kfast_record_t* record, void** value) noexcept;
  [[nodiscard]] std::int64_t commit(std::size_t value_size) noexcept;
  [[nodiscard]] int cancel() noexcept;
  [[nodiscard]] std::uint64_t ring_bytes() const noexcept { return channel_.ring_bytes(); }
  [[nodiscard]] std::int32_t topic(const char* name) noexcept;
  [[nodiscard]] const char* topic_name(std::int32_t topic) const noexcept;
  /// `opaques` null: they are dropped.
  [[nodiscard]] int reports(kfast_report_t* out, void** opaques, std::size_t max) noexcept;
  [[nodiscard]] int reports_opaque(kfast_report_t* out, void** opaques, std::size_t max) noexcept;
  [[nodiscard]] int flush(int timeout_ms) noexcept;
  [[nodiscard]] int flush_to(std::int64_t position, int timeout_ms) noexcept;
  [[nodiscard]] int purge() noexcept;
  [[nodiscard]] int report_text(const kfast_report_t* report, char* text,
                                std::size_t size) noexcept;
  [[nodiscard]] std::uint64_t used_bytes() noexcept;
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] int bell(void* hello, char* path, std::size_t path_size) noexcept;
  [[nodiscard]] const char* last_error() const noexcept;

 private:
  /// How often a send looks at its socket, by the clock that it reads anyway.
  static constexpr std::uint64_t kLookEveryMs = 100;
  static constexpr std::int64_t kHandshakeLookMs = 10;
  static constexpr std::size_t kFdsOfOpened = 4;
  static constexpr std::size_t kFdsOfResumed = 3;

  [[nodiscard]] int open_session(const Deadline& deadline) noexcept;
  [[nodiscard]] int open_channel() noexcept;
  [[nodiscard]] ChannelFds take_fds(bool resumed) noexcept;
  static void poll_socket(int socket, int timeout_ms) noexcept;

  void look(std::int64_t now_ms) noexcept;
  void look_now_and_then(std::int64_t now_ms) noexcept {
    // As unsigned numbers, so that a clock that was set back is a reason to look, too.
    if (static_cast<std::uint64_t>(now_ms - last_look_ms_) >= look_every_ms_) [[unlikely]] {
      look(now_ms);
    }
  }
  void advance() noexcept;
  void hand_back() noexcept;
  void take_over() noexcept;
  void close_for_good(const char* why) noexcept;
  [[nodiscard]] bool wait(const Deadline& deadline, int longest_ms) noexcept;
  void pass_wake_on() noexcept;
  void tell_others() noexcept;
  [[nodiscard]] int wait_for_outcomes(std::uint64_t end, int timeout_ms) noexcept;
  [[nodiscard]] int wait_until(std::int64_t position, int timeout_ms, const Deadline& deadline,
                               kfast_report_t& report) noexcept;

  void take_opaques(const kfast_report_t* reports, void** opaques, std::size_t count) noexcept;

  [[nodiscard]] int malformed() noexcept;
  [[nodiscard]] int late(std::int64_t position) noexcept;
  [[nodiscard]] int check_wait(const kfast_report_t* report) noexcept;
  [[nodiscard]] int check_opaque(const void* opaque) noexcept;
  [[nodiscard]] int closed() noexcept;
  [[nodiscard]] int refuse_barred() noexcept;
  [[nodiscard]] int no_reservation() noexcept;
  [[nodiscard]] int timed_out() noexcept;
  [[nodiscard]] int check_headers(Record& record) noexcept;
  [[nodiscard]] int write_some(kfast_record_t* records, std::size_t count, std::size_t& done,
                               std::int64_t& refusal) noexcept;
  [[nodiscard]] int write_all(kfast_record_t* records, std::size_t count, std::size_t& done,
                              int timeout_ms) noexcept;
  [[nodiscard]] bool passes(std::int64_t refusal) const noexcept;
  [[nodiscard]] bool wait_for_room(const Deadline& deadline, std::int64_t refusal) noexcept;
  [[nodiscard]] std::int64_t try_append(const Record& record, std::int64_t now_ms) noexcept;
  [[nodiscard]] int refuse(std::int64_t refusal, const Record& record) noexcept;
  [[nodiscard]] int refuse_size(const Record& record) noexcept;

  ForkGuard guard_;
  bool barred_ = false;  // closed_ or reserved_: the one byte that a send looks at
  bool closed_ = false;
  bool reserved_ = false;  // a reservation is open
  void* reserved_opaque_ = nullptr;
  bool wake_taken_ =
      false;              // a wake-up was consumed that the worker's event loop may be waiting for
  bool changed_ = false;  // something that other threads' waits depend on
  std::int64_t last_look_ms_ = 0;
  std::uint64_t look_every_ms_ = 0;
  Channel channel_;
  Session session_;
  Options options_;
  ErrorText error_;
  ErrorText away_why_;    // why the session is away
  ErrorText closed_why_;  // why the channel was closed for good
  Opaques opaques_;
  Threads threads_;  // used when is_shared()
  bool threads_open_ = false;
};

}  // namespace kfast::client
