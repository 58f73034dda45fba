// Reads reports out of a d2c ring, one by one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/ring.hpp"
#include "kfast/kfast.h"

namespace kfast::client {

enum class NextReport { report, none, malformed };

/// A cursor that can stop in the middle of a frame. kfastd is trusted to be no attacker, but not to
/// be free of bugs: every number is checked, and a report that makes no sense ends the channel. One
/// thread.
class ReportReader {
 public:
  ReportReader() noexcept = default;
  /// Starts at the ring's position 0. `head` is this side's word in c2d.
  ReportReader(const std::atomic<std::uint64_t>& tail, std::atomic<std::uint64_t>& head,
               const std::byte* ring, std::uint64_t ring_bytes) noexcept
      : reader_(tail, head, ring_bytes, 0), tail_(&tail), ring_(ring) {}

  /// The next report, if there is one. `records_end` is the tail of the record ring, `topics` how
  /// many topics there are.
  [[nodiscard]] NextReport next(std::uint64_t records_end, std::uint32_t topics,
                                kfast_report_t& out) noexcept;

  /// Gives the room of all frames that were read to the end back to kfastd.
  void release() noexcept {
    if (reader_.taken() != reader_.head()) {
      reader_.release(reader_.taken());
    }
  }

  /// Bytes of the ring that kfastd cannot use now. The acquire load comes after the caller's own of
  /// `head`: a report that was published before that head is counted.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept {
    return tail_->load(std::memory_order_acquire) - reader_.head();
  }

 private:
  [[nodiscard]] NextReport open_frame(std::uint32_t topics) noexcept;

  ipc::RingReader<ipc::HostAtomics> reader_;
  const std::atomic<std::uint64_t>* tail_ = nullptr;
  const std::byte* ring_ = nullptr;

  // The frame that is being read; left_ is how many of its records are still to come.
  std::uint32_t left_ = 0;
  bool first_ = false;
  std::uint32_t cursor_ = 0;  // byte of the frame where the next distance stands
  std::uint64_t position_ = 0;
  std::int64_t offset_ = 0;
  ipc::ReportHead head_{};
};

}  // namespace kfast::client
