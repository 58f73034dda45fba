/// kfast for C++20: kfast.h with owners, spans and results. Header-only; throws nothing and needs
/// no exceptions.
///
///   auto producer = kfast::Producer::open();
///   if (!producer) { std::cerr << producer.error().message() << '\n'; return 1; }
///   auto orders = producer->topic("orders");
///   if (orders) { producer->send(*orders, "key", "value"); }
///   producer->flush(std::chrono::seconds(5));
///
/// What a call means, its errors and its limits stand in kfast.h. A producer belongs to one thread
/// at a time, unless it is opened with thread.safe=true.
#pragma once

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kfast/kfast.h"

namespace kfast {

/// Why a call failed: one of KFAST_ERR_*, and a sentence.
class Error {
 public:
  Error() noexcept = default;
  explicit Error(int code) noexcept : code_(code) {}
  Error(int code, std::string text) noexcept : code_(code), text_(std::move(text)) {}

  [[nodiscard]] int code() const noexcept { return code_; }
  /// What was wrong this time where the call had no producer to keep it; else what the code means
  /// (Producer::last_error says more).
  [[nodiscard]] const char* message() const noexcept {
    return text_.empty() ? kfast_strerror(code_) : text_.c_str();
  }

 private:
  int code_ = KFAST_OK;
  std::string text_;
};

/// A value, or why there is none.
template <class T>
class Expected {
 public:
  Expected(T value) noexcept : value_(std::move(value)) {}
  Expected(Error error) noexcept : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  /// Aborts when there is no value.
  [[nodiscard]] T& value() & noexcept { return *checked(); }
  [[nodiscard]] T&& value() && noexcept { return std::move(*checked()); }
  [[nodiscard]] T& operator*() & noexcept { return value(); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
  T* operator->() noexcept { return checked(); }
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  T* checked() noexcept {
    if (!value_) {
      std::abort();
    }
    return &*value_;
  }
  std::optional<T> value_;
  Error error_;
};

/// Success, or why not.
template <>
class Expected<void> {
 public:
  Expected() noexcept = default;
  Expected(Error error) noexcept : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return error_.code() == KFAST_OK; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

/// A key, a value or a header's value: bytes that are read during the call only, or null
/// (std::nullopt). Empty is not null.
class Bytes {
 public:
  constexpr Bytes(std::nullopt_t) noexcept {}
  constexpr Bytes(std::string_view text) noexcept
      : data_(text.data() == nullptr ? "" : text.data()), size_(text.size()) {}
  constexpr Bytes(const char* text) noexcept : Bytes(std::string_view(text)) {}
  Bytes(const std::string& text) noexcept : Bytes(std::string_view(text)) {}
  Bytes(std::span<const std::byte> bytes) noexcept
      : data_(bytes.data() == nullptr ? static_cast<const void*>("") : bytes.data()),
        size_(bytes.size()) {}
  template <class T>
  requires std::is_constructible_v<Bytes, const T&> Bytes(const std::optional<T>& maybe)
  noexcept : Bytes(maybe ? Bytes(*maybe) : Bytes(std::nullopt)) {}

  [[nodiscard]] const void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  const void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// One record header. Laid out as kfast_header_t, so that a span of them is passed on as it is.
class Header : public kfast_header_t {
 public:
  Header(std::string_view header_name, Bytes header_value) noexcept
      : kfast_header_t{header_name.data(), header_name.size(), header_value.data(),
                       header_value.size()} {}
};
static_assert(sizeof(Header) == sizeof(kfast_header_t) && std::is_standard_layout_v<Header>);

using Report = kfast_report_t;

/// Options by name, as kfast_options_set lists them.
class Options {
 public:
  Options() noexcept : options_(kfast_options_new()) {}

  [[nodiscard]] Expected<void> set(const char* name, const char* value) noexcept {
    if (options_ == nullptr) {
      return Error(KFAST_ERR_NO_MEMORY);
    }
    char why[512] = "";
    const int code = kfast_options_set(options_.get(), name, value, why, sizeof why);
    return code == KFAST_OK ? Expected<void>() : Error(code, why);
  }
  [[nodiscard]] Expected<void> set(const std::string& name, const std::string& value) noexcept {
    return set(name.c_str(), value.c_str());
  }

  [[nodiscard]] const kfast_options_t* get() const noexcept { return options_.get(); }

 private:
  struct Free {
    void operator()(kfast_options_t* options) const noexcept { kfast_options_free(options); }
  };
  std::unique_ptr<kfast_options_t, Free> options_;
};

/// What a record may have besides key and value.
struct SendExtras {
  std::int32_t partition = KFAST_ANY_PARTITION;
  std::optional<std::chrono::system_clock::time_point> timestamp{};  // none: now
  std::span<const Header> headers{};
  /// How long to wait for room when the ring is full; negative: for ever.
  std::chrono::milliseconds timeout{0};
  /// Comes back with the report, by reports(reports, opaques); null: nothing does.
  void* opaque = nullptr;
};

/// Room for one value in the ring itself: a record that is sent by commit(), and else not at all.
/// Moves, never copies; it must end before its producer does.
class Reservation {
 public:
  Reservation(Reservation&& other) noexcept
      : producer_(std::exchange(other.producer_, nullptr)), value_(other.value_) {}
  Reservation& operator=(Reservation&& other) noexcept {
    if (this != &other) {
      cancel();
      producer_ = std::exchange(other.producer_, nullptr);
      value_ = other.value_;
    }
    return *this;
  }
  ~Reservation() { cancel(); }

  /// To be filled; not aligned.
  [[nodiscard]] std::span<std::byte> value() const noexcept { return value_; }

  /// Sends the record with the first `value_size` bytes of its value, and returns its position.
  Expected<std::int64_t> commit(std::size_t value_size) noexcept {
    if (producer_ == nullptr) {
      return Error(KFAST_ERR_INVALID);
    }
    const std::int64_t position = kfast_commit(producer_, value_size);
    if (position != KFAST_ERR_INVALID) {
      producer_ = nullptr;
    }
    return position < 0 ? Expected<std::int64_t>(Error(static_cast<int>(position)))
                        : Expected<std::int64_t>(position);
  }
  Expected<std::int64_t> commit() noexcept { return commit(value_.size()); }

  void cancel() noexcept {
    if (producer_ != nullptr) {
      static_cast<void>(kfast_cancel(std::exchange(producer_, nullptr)));
    }
  }

 private:
  friend class Producer;
  Reservation(kfast_producer_t* producer, std::span<std::byte> value) noexcept
      : producer_(producer), value_(value) {}

  kfast_producer_t* producer_;  // NULL: it has ended
  std::span<std::byte> value_;
};

/// A producer. Moves, never copies; closes itself without waiting: flush() first to know what
/// became of the records.
class Producer {
 public:
  [[nodiscard]] static Expected<Producer> open() noexcept {
    return open_with(nullptr, kfast_producer_open);
  }
  [[nodiscard]] static Expected<Producer> open(const Options& options) noexcept {
    return options.get() == nullptr ? Expected<Producer>(Error(KFAST_ERR_NO_MEMORY))
                                    : open_with(options.get(), kfast_producer_open);
  }

  /// A producer for event loops, to be opened by ready() whenever fd() is readable. Until that has
  /// been a success, only it, fd() and last_error() may be called.
  [[nodiscard]] static Expected<Producer> begin() noexcept {
    return open_with(nullptr, kfast_producer_begin);
  }
  [[nodiscard]] static Expected<Producer> begin(const Options& options) noexcept {
    return options.get() == nullptr ? Expected<Producer>(Error(KFAST_ERR_NO_MEMORY))
                                    : open_with(options.get(), kfast_producer_begin);
  }
  /// Goes on with opening: a success once it is open. Zero never waits, negative: for ever.
  [[nodiscard]] Expected<void> ready(
      std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) noexcept {
    const int code = kfast_producer_ready(producer_.get(), milliseconds(timeout));
    return code == KFAST_OK ? Expected<void>() : Error(code);
  }

  /// The number of a topic; asking again gives the same number.
  [[nodiscard]] Expected<std::int32_t> topic(const char* name) noexcept {
    return result(kfast_topic(producer_.get(), name));
  }
  [[nodiscard]] Expected<std::int32_t> topic(const std::string& name) noexcept {
    return topic(name.c_str());
  }
  /// Empty when there is no such topic.
  [[nodiscard]] std::string_view topic_name(std::int32_t topic) const noexcept {
    const char* name = kfast_topic_name(producer_.get(), topic);
    return name == nullptr ? std::string_view() : std::string_view(name);
  }

  /// Sends a record and returns its position, which identifies it in its report. Never waits.
  Expected<std::int64_t> send(std::int32_t topic, Bytes key, Bytes value) noexcept {
    return result(
        kfast_send(producer_.get(), topic, key.data(), key.size(), value.data(), value.size()));
  }
  /// The same with headers, timestamp, partition, an opaque and a time-out.
  Expected<std::int64_t> send(std::int32_t topic, Bytes key, Bytes value,
                              const SendExtras& extras) noexcept {
    const kfast_record_t record = record_of(topic, key, value, extras);
    return result(kfast_send_one(producer_.get(), &record, milliseconds(extras.timeout)));
  }
  /// Sends a record and waits until its outcome is known, `timeout` in all (that of `extras` does
  /// not count); negative: for ever. Look at the report's `outcome`. Where there is none yet,
  /// `position`, if given, says whether the record was accepted (-1: not); wait() takes it.
  [[nodiscard]] Expected<Report> send_wait(std::int32_t topic, Bytes key, Bytes value,
                                           std::chrono::milliseconds timeout,
                                           const SendExtras& extras = {},
                                           std::int64_t* position = nullptr) noexcept {
    const kfast_record_t record = record_of(topic, key, value, extras);
    Report report;
    const int code = kfast_send_wait(producer_.get(), &record, milliseconds(timeout), &report);
    if (position != nullptr) {
      *position = report.position;
    }
    return code == KFAST_OK ? Expected<Report>(report) : Expected<Report>(Error(code));
  }

  /// Waits for the report of one record; zero only looks, negative: for ever.
  [[nodiscard]] Expected<Report> wait(std::int64_t position,
                                      std::chrono::milliseconds timeout) noexcept {
    Report report;
    const int code = kfast_wait(producer_.get(), position, milliseconds(timeout), &report);
    return code == KFAST_OK ? Expected<Report>(report) : Expected<Report>(Error(code));
  }

  /// Sends the front of `records` together, and returns how many; the next one's position is the
  /// code of its refusal. Start each from KFAST_RECORD_INIT.
  [[nodiscard]] Expected<std::size_t> send_batch(
      std::span<kfast_record_t> records,
      std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) noexcept {
    const int count =
        kfast_send_batch(producer_.get(), records.data(), records.size(), milliseconds(timeout));
    return count < 0 ? Expected<std::size_t>(Error(count))
                     : Expected<std::size_t>(static_cast<std::size_t>(count));
  }

  /// Begins a record whose value of up to `record.value_size` bytes is made in the ring. No other
  /// can be sent until it has ended.
  [[nodiscard]] Expected<Reservation> reserve(const kfast_record_t& record) noexcept {
    void* value = nullptr;
    const int code = kfast_reserve(producer_.get(), &record, &value);
    return code == KFAST_OK
               ? Expected<Reservation>(Reservation(
                     producer_.get(), {static_cast<std::byte*>(value), record.value_size}))
               : Expected<Reservation>(Error(code));
  }

  /// Fills the front of `reports`; returns how many. Fewer than asked for: fd() becomes readable
  /// when there are more.
  [[nodiscard]] Expected<std::size_t> reports(std::span<Report> reports) noexcept {
    const int count = kfast_reports(producer_.get(), reports.data(), reports.size());
    return count < 0 ? Expected<std::size_t>(Error(count))
                     : Expected<std::size_t>(static_cast<std::size_t>(count));
  }

  /// The same with what each record was sent with, or null; as many as both have room for.
  [[nodiscard]] Expected<std::size_t> reports(std::span<Report> reports,
                                              std::span<void*> opaques) noexcept {
    const std::size_t room = reports.size() < opaques.size() ? reports.size() : opaques.size();
    const int count = kfast_reports_opaque(producer_.get(), reports.data(), opaques.data(), room);
    return count < 0 ? Expected<std::size_t>(Error(count))
                     : Expected<std::size_t>(static_cast<std::size_t>(count));
  }

  /// Waits until every record has its outcome; negative: for ever.
  Expected<void> flush(std::chrono::milliseconds timeout) noexcept {
    const int code = kfast_flush(producer_.get(), milliseconds(timeout));
    return code == KFAST_OK ? Expected<void>() : Error(code);
  }

  /// The same for the record at `position` and those before it; zero only looks.
  Expected<void> flush_to(std::int64_t position, std::chrono::milliseconds timeout) noexcept {
    const int code = kfast_flush_to(producer_.get(), position, milliseconds(timeout));
    return code == KFAST_OK ? Expected<void>() : Error(code);
  }

  /// Gives up what was sent and not handed over to Kafka's client yet: those records are reported
  /// failed (or unknown), with the error _PURGE_QUEUE. Never waits.
  Expected<void> purge() noexcept {
    const int code = kfast_purge(producer_.get());
    return code == KFAST_OK ? Expected<void>() : Error(code);
  }

  /// A sentence about a report's error: Kafka's name of it and, where brokers refused the login or
  /// the TLS handshake, why.
  [[nodiscard]] std::string report_text(const kfast_report_t& report) {
    char text[512] = "";
    static_cast<void>(kfast_report_text(producer_.get(), &report, text, sizeof text));
    return text;
  }

  [[nodiscard]] std::uint64_t used_bytes() noexcept { return kfast_used_bytes(producer_.get()); }
  [[nodiscard]] std::uint64_t ring_bytes() const noexcept {
    return kfast_ring_bytes(producer_.get());
  }
  /// For poll, epoll or select: readable when reports() should be called. Never changes; not to be
  /// read or closed.
  [[nodiscard]] int fd() const noexcept { return kfast_fd(producer_.get()); }
  /// What the last failed call was about. Valid until the next call.
  [[nodiscard]] const char* last_error() const noexcept {
    return kfast_last_error(producer_.get());
  }
  [[nodiscard]] kfast_producer_t* get() const noexcept { return producer_.get(); }

 private:
  struct Close {
    void operator()(kfast_producer_t* producer) const noexcept { kfast_producer_close(producer); }
  };
  explicit Producer(kfast_producer_t* producer) noexcept : producer_(producer) {}

  static Expected<Producer> open_with(const kfast_options_t* options,
                                      decltype(kfast_producer_open)* how) noexcept {
    kfast_producer_t* producer = nullptr;
    char why[512] = "";
    const int code = how(options, &producer, why, sizeof why);
    if (code != KFAST_OK) {
      return Error(code, why);
    }
    return Producer(producer);
  }

  static kfast_record_t record_of(std::int32_t topic, Bytes key, Bytes value,
                                  const SendExtras& extras) noexcept {
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.key = key.data();
    record.key_size = key.size();
    record.value = value.data();
    record.value_size = value.size();
    record.headers = extras.headers.data();
    record.header_count = extras.headers.size();
    record.partition = extras.partition;
    record.opaque = extras.opaque;
    if (extras.timestamp) {
      record.timestamp_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                extras.timestamp->time_since_epoch())
                                .count();
    }
    return record;
  }

  template <class T>
  static Expected<T> result(T number) noexcept {
    return number < 0 ? Expected<T>(Error(static_cast<int>(number))) : Expected<T>(number);
  }

  static int milliseconds(std::chrono::milliseconds timeout) noexcept {
    const auto count = timeout.count();
    return count < 0 ? -1 : count > INT_MAX ? INT_MAX : static_cast<int>(count);
  }

  std::unique_ptr<kfast_producer_t, Close> producer_;
};

}  // namespace kfast
