// The memory that a channel shares with kfastd: checked before it is mapped, and where everything
// lies in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "error_text.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/wire.hpp"
#include "mapping.hpp"

namespace kfast::client {

/// The descriptors that come with Opened. `c2d` is not there when a channel is resumed.
struct ChannelFds {
  ipc::Fd c2d;
  ipc::Fd d2c;
  ipc::Fd doorbell;
  ipc::Fd shard;
};

/// Owns a channel's two segments, its shard page and its doorbell. One thread.
class ChannelMemory {
 public:
  /// Maps a new channel. Returns 0 or a KFAST_ERR; on an error nothing has changed.
  [[nodiscard]] int map_new(const ipc::Opened& opened, ChannelFds& fds, ErrorText& why) noexcept;

  /// Puts another daemon's d2c segment, shard page and doorbell in the place of the old ones; c2d
  /// stays. Returns 0 or a KFAST_ERR; on an error nothing has changed.
  [[nodiscard]] int map_resumed(const ipc::Opened& opened, ChannelFds& fds,
                                ErrorText& why) noexcept;

  [[nodiscard]] bool is_mapped() const noexcept { return c2d_.valid(); }
  [[nodiscard]] const ipc::Geometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] int c2d_fd() const noexcept { return c2d_fd_.get(); }
  [[nodiscard]] int d2c_fd() const noexcept { return d2c_fd_.get(); }
  [[nodiscard]] int doorbell() const noexcept { return doorbell_.get(); }

  [[nodiscard]] ipc::C2dHeader& c2d() const noexcept {
    return *reinterpret_cast<ipc::C2dHeader*>(c2d_.data());
  }
  [[nodiscard]] const ipc::D2cHeader& d2c() const noexcept {
    return *reinterpret_cast<const ipc::D2cHeader*>(d2c_.data());
  }
  [[nodiscard]] const ipc::ShardPage& shard() const noexcept {
    return *reinterpret_cast<const ipc::ShardPage*>(shard_.data());
  }
  [[nodiscard]] ipc::TopicEntry* topic_table() const noexcept {
    return reinterpret_cast<ipc::TopicEntry*>(c2d_.data() + geometry_.topic_table);
  }
  [[nodiscard]] std::byte* c2d_ring() const noexcept { return c2d_.data() + geometry_.c2d_ring; }
  [[nodiscard]] const std::byte* d2c_ring() const noexcept {
    return d2c_.data() + geometry_.d2c_ring;
  }
  [[nodiscard]] const std::atomic<std::uint8_t>* topic_states() const noexcept {
    return reinterpret_cast<const std::atomic<std::uint8_t>*>(d2c_.data() + geometry_.topic_states);
  }

 private:
  ipc::Geometry geometry_{};
  ipc::Fd c2d_fd_;  // both segments are handed back to the next daemon
  ipc::Fd d2c_fd_;
  ipc::Fd doorbell_;
  Mapping c2d_;
  Mapping d2c_;
  Mapping shard_;
};

}  // namespace kfast::client
