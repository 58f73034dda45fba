// The memory of the stats segment and the allocation of its blocks; stats.hpp is the interface to
// use.
#pragma once

#include <array>
#include <boost/interprocess/mapped_region.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/stats_layout.hpp"
#include "telemetry/counters.hpp"

namespace kfast::daemon::telemetry {

/// Where everything lies in a segment.
struct Geometry {
  struct ScopePlace {
    std::uint64_t blocks_offset;
    std::uint32_t block_bytes;
    std::uint32_t block_count;
    std::uint32_t values_offset;
  };
  std::array<ScopePlace, kScopeCount> scopes;
  std::uint64_t scopes_offset;
  std::uint64_t descriptors_offset;
  std::uint32_t descriptor_count;
  std::uint64_t segment_bytes;
};

/// `blocks` per scope, 0 for the scope's default; at least one block each.
Geometry plan(const std::array<std::uint32_t, kScopeCount>& blocks);

/// Owns the file, its mapping and its lock. Threads: allocate, free and set_note lock; the rest is
/// fixed after construction.
class SegmentMemory {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  /// `region` maps the whole of `fd`, which is zero-filled and of geometry.segment_bytes.
  SegmentMemory(ipc::Fd fd, boost::interprocess::mapped_region region, const Geometry& geometry,
                std::chrono::milliseconds cool_off, Clock now);

  /// Writes header (but its magic and phase), scope and descriptor tables and the "(other)" blocks.
  void describe(std::string_view version, std::uint32_t shards);

  [[nodiscard]] ipc::stats::Header& header() const noexcept {
    return *reinterpret_cast<ipc::stats::Header*>(base());
  }
  [[nodiscard]] ipc::stats::ScopeInfo& scope(std::uint32_t scope) const noexcept {
    return reinterpret_cast<ipc::stats::ScopeInfo*>(base() + geometry_.scopes_offset)[scope];
  }
  [[nodiscard]] ipc::stats::Word* values(std::uint32_t scope, std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {base(), static_cast<std::size_t>(geometry_.segment_bytes)};
  }

  /// A block with these labels, or 0: the block "(other)".
  std::uint32_t allocate(Scope scope, std::initializer_list<std::string_view> labels);
  void free(std::uint32_t scope, std::uint32_t index) noexcept;
  void set_note(std::uint32_t scope, std::uint32_t index, std::string_view name,
                std::string_view text);

 private:
  struct Freed {
    std::uint32_t index;
    std::chrono::steady_clock::time_point when;
  };
  /// A scope's freed blocks, the one that was freed first in front. A block is in it once at most,
  /// so it has its memory from the beginning: freeing never allocates.
  class FreedBlocks {
   public:
    void make_room_for(std::uint32_t blocks) { ring_.resize(blocks); }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] const Freed& front() const { return ring_[first_]; }
    void pop_front() {
      first_ = (first_ + 1) % ring_.size();
      --count_;
    }
    void push_back(Freed freed) {
      ring_[(first_ + count_) % ring_.size()] = freed;
      ++count_;
    }

   private:
    std::vector<Freed> ring_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
  };
  struct Table {
    std::uint32_t next_unused = 1;
    FreedBlocks freed;
  };

  [[nodiscard]] std::byte* base() const noexcept {
    return static_cast<std::byte*>(region_.get_address());
  }
  [[nodiscard]] std::byte* block(std::uint32_t scope, std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t take_index(std::uint32_t scope);
  void label_block(std::uint32_t scope, std::uint32_t index,
                   std::initializer_list<std::string_view> labels) noexcept;

  ipc::Fd fd_;
  boost::interprocess::mapped_region region_;
  const Geometry geometry_;
  const std::chrono::milliseconds cool_off_;
  const Clock now_;
  std::mutex mutex_;
  std::array<Table, kScopeCount> tables_;
};

}  // namespace kfast::daemon::telemetry
