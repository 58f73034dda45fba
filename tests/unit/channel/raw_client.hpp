// The client's side of a channel for tests, bare: it maps the segments by their descriptors as a
// worker does, and writes whatever it is told to, also what no honest client would.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channel/segments.hpp"
#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/ring.hpp"

namespace kfast::daemon::channel::test {

struct RecordSpec {
  std::uint16_t topic = 0;
  std::optional<std::string> key = std::nullopt;
  std::optional<std::string> value = "value";
  std::int64_t sent_ms = 1'000'000;
  std::optional<ipc::RecordExtension> extension = std::nullopt;
  std::string headers = {};  // as they stand in the frame; needs `extension`
};

/// A record's frame, padded to kFrameAlign.
[[nodiscard]] std::string frame_of(const RecordSpec& spec);

/// One record's outcome, as its report says it.
struct ReadReport {
  std::uint64_t position = 0;
  std::uint16_t topic = 0;
  ipc::Outcome outcome = ipc::Outcome::delivered;
  std::int16_t error = 0;
  std::int32_t partition = -1;
  std::int64_t offset = -1;

  friend bool operator==(const ReadReport&, const ReadReport&) = default;
};

/// What one look at the d2c ring found.
struct ReadReports {
  std::vector<ReadReport> records;
  std::size_t frames = 0;   // report frames
  std::size_t padding = 0;  // padding frames
  bool well_formed = true;
};

class RawClient {
 public:
  /// `position`: where the c2d ring stands, 0 for a new channel.
  explicit RawClient(const Segments& segments, std::uint64_t position = 0);

  /// Goes on with the segments of a daemon that took the channel over: swaps the d2c in.
  void swap_in(const Segments& segments);

  [[nodiscard]] ipc::C2dHeader& words() {
    return *static_cast<ipc::C2dHeader*>(c2d_.get_address());
  }
  [[nodiscard]] const ipc::D2cHeader& daemon_words() const {
    return *static_cast<const ipc::D2cHeader*>(d2c_.get_address());
  }
  [[nodiscard]] std::byte* c2d_bytes() { return static_cast<std::byte*>(c2d_.get_address()); }
  [[nodiscard]] const std::byte* d2c_bytes() const {
    return static_cast<const std::byte*>(d2c_.get_address());
  }
  /// The byte of the c2d ring at a position.
  [[nodiscard]] std::byte* ring_at(std::uint64_t position) {
    return c2d_bytes() + geometry_.c2d_ring + (position & (geometry_.c2d_ring_bytes - 1));
  }
  [[nodiscard]] ipc::TopicState topic_state(std::uint16_t topic) const {
    return static_cast<ipc::TopicState>(d2c_bytes()[geometry_.topic_states + topic]);
  }

  /// Enters a topic and publishes the table up to it.
  void put_topic(std::uint16_t index, std::string_view name);

  /// Puts a record behind what is there, padded around the ring's end; not yet published. Nothing:
  /// the ring is full.
  std::optional<std::uint64_t> append(const RecordSpec& spec);
  /// The same with any bytes; their size is a multiple of kFrameAlign.
  std::optional<std::uint64_t> append_bytes(std::string_view frame);
  void publish() { writer_.publish(); }
  /// append() and publish(); aborts when the ring is full.
  std::uint64_t send(const RecordSpec& spec);
  std::uint64_t send_bytes(std::string_view frame);

  /// Reads all reports that are published.
  ReadReports read_reports();

 private:
  ipc::Geometry geometry_;
  boost::interprocess::mapped_region c2d_;
  boost::interprocess::mapped_region d2c_;
  ipc::RingWriter<ipc::HostAtomics> writer_;
  std::uint64_t reports_read_ = 0;
};

}  // namespace kfast::daemon::channel::test
