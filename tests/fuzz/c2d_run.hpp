// One run of a real ProducerChannel over client memory that the fuzzer wrote.
//
// An input is: a byte of settings, the length of the script, the script, the words of the c2d
// header, four topics of 16 bytes each, and the bytes of the ring. The script takes, resolves,
// finishes rounds, parks, kills the daemon and lets another one take over, and scribbles, in any
// order.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "channel/producer_channel.hpp"
#include "input.hpp"
#include "raw_client.hpp"
#include "telemetry/stats.hpp"

namespace kfast::fuzz {

/// Reads every byte it is handed, as librdkafka would, and remembers what it owes an outcome for.
class ReadingSink : public daemon::channel::RecordSink {
 public:
  explicit ReadingSink(daemon::telemetry::TopicBlock& stats) : stats_(stats) {}

  daemon::channel::OpenedTopic open_topic(std::string_view name) override;
  daemon::channel::Submission submit(void* topic, daemon::channel::RecordView& record,
                                     std::uint64_t opaque) override;
  [[nodiscard]] daemon::channel::Expiry expiry() const override { return {}; }

  /// The memory that records may lie in.
  void allow(const std::byte* begin, std::uint64_t size) {
    begin_ = begin;
    end_ = begin + size;
  }
  void answer_with(std::uint8_t mode) { mode_ = mode; }

  std::deque<std::uint32_t> owed;  // sequence numbers, in the order of their submission
  std::uint32_t offered = 0;       // submit() calls

 private:
  void read(const std::byte* at, std::size_t size);

  daemon::telemetry::TopicBlock& stats_;
  const std::byte* begin_ = nullptr;
  const std::byte* end_ = nullptr;
  std::uint8_t mode_ = 0;
};

class C2dRun {
 public:
  C2dRun(daemon::telemetry::TopicBlock& stats, Input& input);

  /// Executes the script and then ends the channel as a shard does.
  void run();

  /// Where another thread may scribble while this runs.
  [[nodiscard]] std::span<std::byte> client_memory();
  [[nodiscard]] bool wants_scribbler() const { return (settings_byte_ & 0x80U) != 0; }

 private:
  void step(std::uint8_t operation);
  void take(std::uint32_t at_most);
  void purge(std::uint32_t at_most);
  void resolve_one(std::uint8_t which, std::uint8_t outcome);
  void finish_round();
  void end_violator();
  void send_as_client(std::uint8_t shape);
  void scribble(std::uint32_t where, std::uint64_t value);
  void read_reports();
  void replace_daemon();
  void end();
  void check_positions() const;

  daemon::telemetry::TopicBlock& stats_;
  std::uint8_t settings_byte_;
  Input script_;
  daemon::channel::ProducerChannel::Settings settings_;
  std::unique_ptr<daemon::channel::ProducerChannel> channel_;
  std::unique_ptr<daemon::channel::test::RawClient> client_;
  std::unique_ptr<ReadingSink> sink_;
  std::int64_t now_ms_ = 1'000'000;
  std::uint64_t resolved_ = 0;
  bool honest_reader_ = true;  // nothing but read_reports() has written d2c_head
  bool violated_ = false;
};

}  // namespace kfast::fuzz
