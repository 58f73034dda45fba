#include <nlohmann/json.hpp>

#include "kfastctl/drain_state.hpp"
#include "kfastctl/stat_output.hpp"

namespace kfast::ctl {

std::string json_of(const Snapshot& snapshot, const Selection& selection) {
  using nlohmann::json;
  const auto labels_of = [](const auto& labels) {
    json object = json::object();
    for (const auto& [name, value] : labels) {
      object[name] = value;
    }
    return object;
  };
  json root = {{"version", snapshot.version},
               {"layout", snapshot.layout_version},
               {"pid", snapshot.pid},
               {"alive", snapshot.alive},
               {"phase", to_string(snapshot.phase)},
               {"start_ms", snapshot.start_realtime_ms},
               {"up_ms", snapshot.up_ms},
               {"shards", json::array()},
               {"metrics", json::array()},
               {"notes", json::array()}};
  if (snapshot.drain_left_ms) {
    const DrainState drain = drain_state(snapshot);
    root["drain"] = {{"left_ms", drain.left_ms},
                     {"waiting_messages", drain.waiting_records},
                     {"waiting_bytes", drain.waiting_bytes}};
    if (drain.whole) {
      root["drain"]["result"] = *drain.whole ? "drained" : "left";
    }
  }
  for (const Beat& beat : snapshot.beats) {
    json shard = {{"shard", beat.shard}, {"activity", to_string(beat.activity)}};
    if (beat.activity != ipc::stats::Activity::absent) {
      shard["heartbeat_age_ms"] = beat.age_ms;
    }
    root["shards"].push_back(std::move(shard));
  }
  for (const Metric& metric : snapshot.metrics) {
    if (selection.takes(metric)) {
      root["metrics"].push_back(
          {{"scope", metric.scope},
           {"name", metric.name},
           {"kind", metric.kind == ipc::stats::Kind::counter ? "counter" : "gauge"},
           {"unit", metric.unit},
           {"labels", labels_of(metric.labels)},
           {"value", metric.value}});
    }
  }
  for (const Note& note : snapshot.notes) {
    if (selection.scope.empty() || selection.scope == note.scope) {
      root["notes"].push_back({{"scope", note.scope},
                               {"name", note.name},
                               {"labels", labels_of(note.labels)},
                               {"text", note.text}});
    }
  }
  // Broker texts and principals may hold bytes that are not UTF-8.
  return root.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace kfast::ctl
