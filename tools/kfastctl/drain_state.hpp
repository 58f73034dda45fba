// What the stats segment says of a drain, and the words for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {

struct DrainState {
  struct Left {
    std::uint64_t records = 0;
    std::uint64_t channels = 0;
  };

  bool begun = false;
  std::optional<bool> whole;          ///< once it is over: whether every record has its outcome
  std::uint64_t left_ms = 0;          ///< until kfastd waits no longer
  std::uint64_t waiting_records = 0;  ///< taken from rings, no outcome yet
  std::uint64_t waiting_bytes = 0;    ///< of rings, to be taken
  Left ring;                          ///< left in rings of workers that live
  Left kept;                          ///< workers are gone, segments are kept
  Left lost;                          ///< workers are gone, nothing is kept
};

DrainState drain_state(const Snapshot& snapshot);

/// "1234 records wait", and what of the rings is not taken yet.
std::string waiting_text(const DrainState& state);

/// "draining: 1234 records wait, 8 s left". What it says changes by itself only in the seconds;
/// without them when `seconds` is false.
std::string progress_text(const DrainState& state, bool seconds);

/// Of a drain that is over: what became of the records, a line each.
std::string verdict_text(const DrainState& state);

}  // namespace kfast::ctl
