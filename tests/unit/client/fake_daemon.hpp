// A peer for libkfast under the test's control: it answers what the real kfastd never would, at the
// moment the test wants.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/ring.hpp"
#include "kfast/ipc/wire.hpp"
#include "kfast/kfast.h"

namespace kfast::test {

/// A mapping of a memfd. Throws when the system refuses.
struct Memory {
  ipc::Fd fd;
  std::byte* at = nullptr;
  std::size_t size = 0;

  Memory() = default;
  Memory(const char* name, std::size_t bytes, int seals);
  Memory(ipc::Fd existing, std::size_t bytes);  // read-only
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();
};

/// The daemon's side of one channel.
class FakeChannel {
 public:
  FakeChannel(std::uint64_t ring_bytes, std::uint64_t report_bytes, std::uint32_t topics);
  /// Takes over a channel as a restarted daemon does: a new d2c that goes on where the old one
  /// stood.
  FakeChannel(const ipc::Geometry& geometry, ipc::Fd c2d, ipc::Fd old_d2c);

  [[nodiscard]] const ipc::C2dHeader& c2d() const {
    return *reinterpret_cast<const ipc::C2dHeader*>(c2d_.at);
  }
  [[nodiscard]] ipc::D2cHeader& d2c() { return *reinterpret_cast<ipc::D2cHeader*>(d2c_.at); }
  [[nodiscard]] ipc::ShardPage& shard() { return *reinterpret_cast<ipc::ShardPage*>(shard_.at); }
  void set_topic_state(std::uint32_t topic, ipc::TopicState state);

  /// The bytes of the record ring at a position.
  [[nodiscard]] const std::byte* record_at(std::uint64_t position) const;
  template <class T>
  [[nodiscard]] T read(std::uint64_t position) const {
    // Padding at the ring's end can be shorter than a head: what would lie behind the end is zero.
    T value{};
    const std::uint64_t to_end =
        geometry.c2d_ring_bytes - (position & (geometry.c2d_ring_bytes - 1));
    std::memcpy(&value, record_at(position), to_end < sizeof value ? to_end : sizeof value);
    return value;
  }

  /// Writes one report frame for records at `positions` and publishes it.
  void report(const std::vector<std::uint64_t>& positions, std::int64_t base_offset = 0,
              ipc::Outcome outcome = ipc::Outcome::delivered, std::int16_t error = 0,
              std::uint16_t topic = 0, std::int32_t partition = 3);
  /// Publishes any bytes as a report frame.
  void report_raw(const void* bytes, std::size_t size);
  void move_head(std::uint64_t head) {
    d2c().taken.store(head);
    d2c().head.store(head);
  }

  ipc::Geometry geometry;
  Memory c2d_;
  Memory d2c_;
  Memory shard_;
  ipc::Fd doorbell;

 private:
  void make_daemon_side();
  ipc::RingWriter<ipc::HostAtomics> reports_;
};

/// A message that the client sent.
struct Message {
  std::vector<std::byte> bytes;
  std::vector<ipc::Fd> fds;
  bool ended = false;

  template <class T>
  [[nodiscard]] T as() const {
    T message{};
    EXPECT_EQ(bytes.size(), sizeof message);
    if (bytes.size() == sizeof message) {
      std::memcpy(&message, bytes.data(), sizeof message);
    }
    EXPECT_EQ(message.head.type, T::kType);
    return message;
  }
};

/// One session, from the daemon's end.
class FakeSession {
 public:
  FakeSession() = default;
  explicit FakeSession(ipc::Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] Message receive();
  void send_bytes(const void* bytes, std::size_t size, const std::vector<int>& fds = {});
  template <class T>
  void send(const T& message, const std::vector<int>& fds = {}) {
    send_bytes(&message, sizeof message, fds);
  }
  void welcome();
  /// What welcome() said; each session's number and token are its own.
  [[nodiscard]] const ipc::Welcome& welcomed() const { return welcomed_; }
  void refuse(std::uint32_t request, ipc::RefusalCode code, const char* text);
  void wake();
  /// Answers a request for a new channel.
  void open(FakeChannel& channel, std::uint32_t request,
            std::uint64_t max_record_bytes = 1U << 20U);
  /// Answers a request to resume.
  void resume(FakeChannel& channel, std::uint32_t request,
              std::uint64_t max_record_bytes = 1U << 20U);
  void close() { socket_.reset(); }
  [[nodiscard]] bool connected() const { return socket_.valid(); }

 private:
  ipc::Fd socket_;
  ipc::Welcome welcomed_{};
};

/// A listener in a directory of its own.
class FakeDaemon {
 public:
  FakeDaemon();
  ~FakeDaemon();
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] std::string path() const { return dir_ + "/" + ipc::kSessionSocketName; }
  [[nodiscard]] FakeSession accept();
  /// Waits until a client connects (true) or `over` is done without one.
  [[nodiscard]] bool has_connection_until(std::future<void>& over);
  void stop();
  void start();

 private:
  std::string dir_;
  ipc::Fd listener_;
};

/// What kfast_producer_open answered.
struct OpenResult {
  int code = 0;
  kfast_producer_t* producer = nullptr;
  std::string why;
};

struct Option {
  const char* name;
  std::string value;
};

/// Opens a producer on another thread, so that the test can play the daemon meanwhile.
[[nodiscard]] std::future<OpenResult> open_async(const std::string& dir,
                                                 const std::vector<Option>& options = {});

/// A producer that is open against a FakeDaemon.
class OpenProducer : public testing::Test {
 protected:
  void open(std::uint64_t ring_bytes = 4096, std::uint64_t report_bytes = 4096,
            std::uint32_t topics = 16, const char* reports = "all", bool thread_safe = false);
  ~OpenProducer() override { kfast_producer_close(producer); }

  /// Sends a record of `size` bytes in all, head included.
  std::int64_t send_frame(std::size_t size);
  [[nodiscard]] std::vector<kfast_report_t> all_reports();
  [[nodiscard]] bool fd_is_readable() const;

  FakeDaemon daemon;
  FakeSession session;
  std::optional<FakeChannel> channel;
  kfast_producer_t* producer = nullptr;
  std::int32_t topic = -1;
};

}  // namespace kfast::test
