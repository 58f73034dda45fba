#include "kfastctl/drain_state.hpp"

#include <algorithm>
#include <string_view>

namespace kfast::ctl {
namespace {

/// The sum over all metrics of that name, with that label value where it is not empty.
std::uint64_t sum_of(const Snapshot& snapshot, std::string_view name, std::string_view label) {
  std::uint64_t sum = 0;
  for (const Metric& metric : snapshot.metrics) {
    const bool fits =
        metric.name == name &&
        (label.empty() || std::any_of(metric.labels.begin(), metric.labels.end(),
                                      [&](const auto& each) { return each.second == label; }));
    sum += fits ? metric.value : 0;
  }
  return sum;
}

DrainState::Left left_in(const Snapshot& snapshot, std::string_view where) {
  return {sum_of(snapshot, "kfast_left_messages_total", where),
          sum_of(snapshot, "kfast_left_channels_total", where)};
}

std::string counted(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string records_of_channels(const DrainState::Left& left) {
  return counted(left.records, "record") + " of " + counted(left.channels, "channel");
}

}  // namespace

DrainState drain_state(const Snapshot& snapshot) {
  DrainState state;
  state.begun = snapshot.drain_left_ms.has_value();
  state.left_ms = snapshot.drain_left_ms.value_or(0);
  state.waiting_records = sum_of(snapshot, "kfast_drain_waiting_messages", {});
  state.waiting_bytes = sum_of(snapshot, "kfast_drain_waiting_bytes", {});
  if (sum_of(snapshot, "kfast_drains_total", {}) != 0) {
    state.whole = sum_of(snapshot, "kfast_drains_total", "drained") != 0;
  }
  state.ring = left_in(snapshot, "ring");
  state.kept = left_in(snapshot, "kept");
  state.lost = left_in(snapshot, "lost");
  return state;
}

std::string waiting_text(const DrainState& state) {
  std::string text =
      counted(state.waiting_records, "record") + (state.waiting_records == 1 ? " waits" : " wait");
  if (state.waiting_bytes != 0) {
    text += ", " + counted(state.waiting_bytes, "byte") + " of rings not taken yet";
  }
  return text;
}

std::string progress_text(const DrainState& state, bool seconds) {
  if (!state.begun) {
    return "told to stop; it has not begun to drain";
  }
  if (state.whole) {
    return "the drain is over; kfastd ends";
  }
  std::string text = "draining: " + waiting_text(state);
  if (seconds) {
    text += ", " + std::to_string((state.left_ms + 999) / 1000) + " s left";
  }
  return text;
}

std::string verdict_text(const DrainState& state) {
  if (state.whole.value_or(false)) {
    return "drained: every record accepted before it has its outcome\n";
  }
  std::string text;
  if (state.ring.channels != 0) {
    text += records_of_channels(state.ring) + (state.ring.records == 1 ? " stays" : " stay") +
            " in their rings: they are delivered when their workers meet the next kfastd\n";
  }
  if (state.kept.channels != 0) {
    text += records_of_channels(state.kept) +
            " whose workers are gone are kept: the next kfastd delivers them, unless the store "
            "ends with this stop\n";
  }
  if (state.lost.channels != 0) {
    text += records_of_channels(state.lost) +
            " whose workers are gone are lost: nobody keeps their segments\n";
  }
  return text;
}

}  // namespace kfast::ctl
