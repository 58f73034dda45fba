// Writing delivery reports into a channel's d2c ring, runs of one partition in one frame.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "channel/segments.hpp"
#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/ring.hpp"

namespace kfast::daemon::channel {

/// What became of one record.
struct RecordOutcome {
  ipc::Outcome outcome = ipc::Outcome::delivered;
  std::int16_t error = 0;
  std::int32_t partition = -1;
  std::int64_t offset = -1;
};

/// The writer of a d2c ring. Used by the shard's thread only; the segments outlive it.
class ReportWriter {
 public:
  /// `client_reads`: false for a channel whose client still reads another report ring. Its word in
  /// c2d is about that one, so it is not looked at: by the credit rule this ring has room for all
  /// reports that the client can be owed, from position 0 on.
  explicit ReportWriter(const Segments& segments, bool client_reads = true);

  /// The client has this ring now, and says in c2d how far it has read it.
  void client_reads() { ring_.bind_head(client_head_, 0); }

  /// Adds a report for the record at `position`. False: no room, which only a client that broke the
  /// credit rule can cause.
  [[nodiscard]] bool add(std::uint64_t position, std::uint16_t topic, const RecordOutcome& outcome);

  /// Makes everything added visible with one release store. False: no room, as above. `published`
  /// says whether there was anything.
  [[nodiscard]] bool publish(bool& published);

 private:
  [[nodiscard]] bool close_frame();
  [[nodiscard]] bool continues(std::uint64_t position, std::uint16_t topic,
                               const RecordOutcome& outcome) const;

  const std::atomic<std::uint64_t>& client_head_;
  ipc::RingWriter<ipc::HostAtomics> ring_;
  std::byte* memory_;
  ipc::ReportHead open_{};  // count 0: no frame is open
  std::uint64_t last_position_ = 0;
  std::uint32_t gaps_size_ = 0;
  std::array<std::byte, ipc::kMaxReportFrame - sizeof(ipc::ReportHead)> gaps_{};
};

}  // namespace kfast::daemon::channel
