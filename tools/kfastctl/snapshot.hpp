// What the stats segment said at one moment, checked and copied out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kfast/ipc/stats_layout.hpp"

namespace kfast::ctl {

struct Beat {
  std::uint32_t shard = 0;
  ipc::stats::Activity activity = ipc::stats::Activity::absent;
  std::uint64_t age_ms = 0;
};

struct Metric {
  std::string scope;
  std::string name;
  std::string unit;
  ipc::stats::Kind kind = ipc::stats::Kind::counter;
  std::vector<std::pair<std::string, std::string>> labels;  ///< the block's, then the metric's own
  std::uint64_t value = 0;
};

/// A text that changes, such as a profile's last error.
struct Note {
  std::string scope;
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  std::string text;
};

struct Snapshot {
  std::uint32_t layout_version = 0;
  std::string version;
  std::int32_t pid = 0;
  std::uint32_t pid_namespace = 0;  ///< an inode; 0: not known
  bool alive = false;
  ipc::stats::Phase phase = ipc::stats::Phase::starting;
  std::int64_t start_realtime_ms = 0;
  std::uint64_t up_ms = 0;
  /// Once a drain has begun: until it is over at the latest.
  std::optional<std::uint64_t> drain_left_ms;
  std::vector<Beat> beats;      ///< a shard each, those that never beat included
  std::vector<Metric> metrics;  ///< by scope, then labels, then as declared; zeros included
  std::vector<Note> notes;      ///< those that are not empty
};

struct Parsed {
  std::optional<Snapshot> snapshot;
  std::string error;  ///< when there is no snapshot: a sentence
};

/// Reads a segment. Blocks of one scope with the same labels, which several threads of kfastd
/// write, are added up. `boottime_now_ms`: CLOCK_BOOTTIME, for the ages.
Parsed parse_snapshot(std::span<const std::byte> segment, bool alive,
                      std::uint64_t boottime_now_ms);

/// CLOCK_BOOTTIME in milliseconds.
std::uint64_t boottime_ms() noexcept;

/// "running" and so on.
const char* to_string(ipc::stats::Phase phase) noexcept;
const char* to_string(ipc::stats::Activity activity) noexcept;

}  // namespace kfast::ctl
