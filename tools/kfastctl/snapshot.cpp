#include "kfastctl/snapshot.hpp"

#include <cstring>
#include <ctime>
#include <map>

namespace kfast::ctl {
namespace {

using namespace ipc::stats;

constexpr char kDamaged[] = "the stats segment is damaged: restart kfastd, which makes a new one";

template <std::size_t size>
std::string text_of(const char (&bytes)[size]) {
  return std::string(bytes, ::strnlen(bytes, size));
}

bool lies_within(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

bool geometry_is_sound(const ScopeInfo& scope, std::uint64_t segment_bytes) {
  if (scope.text_count > kMaxTexts || scope.value_count > kMaxValues ||
      scope.block_bytes % kLine != 0 || scope.block_bytes < sizeof(BlockHead) ||
      scope.blocks_offset % kLine != 0 || scope.values_offset % sizeof(Word) != 0 ||
      !lies_within(scope.values_offset, scope.value_count * sizeof(Word), scope.block_bytes) ||
      !lies_within(scope.blocks_offset, std::uint64_t{scope.block_bytes} * scope.block_count,
                   segment_bytes) ||
      scope.blocks_touched.load(std::memory_order_acquire) > scope.block_count) {
    return false;
  }
  for (std::uint32_t text = 0; text < scope.text_count; ++text) {
    const TextInfo& info = scope.texts[text];
    if (info.capacity > kMaxTextBytes || info.offset % sizeof(Word) != 0 ||
        !lies_within(info.offset, info.capacity, scope.block_bytes)) {
      return false;
    }
  }
  return true;
}

/// The blocks of a scope by their labels, added up. The first text of a note that is not empty
/// stands for all.
std::map<std::vector<std::string>, BlockCopy> blocks_of(const ScopeInfo& scope,
                                                        const std::byte* segment) {
  std::map<std::vector<std::string>, BlockCopy> merged;
  const std::uint64_t touched = scope.blocks_touched.load(std::memory_order_acquire);
  for (std::uint64_t index = 0; index < touched; ++index) {
    auto copy = read_block(scope, segment + scope.blocks_offset + index * scope.block_bytes);
    if (!copy) {
      continue;
    }
    std::vector<std::string> labels;
    for (std::uint32_t text = 0; text < scope.text_count; ++text) {
      if (scope.texts[text].role == TextRole::label) {
        labels.push_back(copy->texts[text]);
      }
    }
    const auto [place, is_new] = merged.try_emplace(std::move(labels), *copy);
    if (is_new) {
      continue;
    }
    for (std::size_t value = 0; value < copy->values.size(); ++value) {
      place->second.values[value] += copy->values[value];
    }
    for (std::size_t text = 0; text < copy->texts.size(); ++text) {
      if (place->second.texts[text].empty()) {
        place->second.texts[text] = copy->texts[text];
      }
    }
  }
  return merged;
}

void add_scope(Snapshot& snapshot, const ScopeInfo& scope, std::span<const Descriptor*> metrics,
               const std::byte* segment) {
  const std::string scope_name = text_of(scope.name);
  for (const auto& [unused, block] : blocks_of(scope, segment)) {
    std::vector<std::pair<std::string, std::string>> labels;
    for (std::uint32_t text = 0; text < scope.text_count; ++text) {
      if (scope.texts[text].role == TextRole::label) {
        labels.emplace_back(text_of(scope.texts[text].name), block.texts[text]);
      }
    }
    for (const Descriptor* descriptor : metrics) {
      Metric metric{
          scope_name, text_of(descriptor->name),      text_of(descriptor->unit), descriptor->kind,
          labels,     block.values[descriptor->index]};
      if (descriptor->label[0] != '\0') {
        metric.labels.emplace_back(text_of(descriptor->label), text_of(descriptor->label_value));
      }
      snapshot.metrics.push_back(std::move(metric));
    }
    for (std::uint32_t text = 0; text < scope.text_count; ++text) {
      if (scope.texts[text].role == TextRole::note && !block.texts[text].empty()) {
        snapshot.notes.push_back(
            {scope_name, text_of(scope.texts[text].name), labels, block.texts[text]});
      }
    }
  }
}

}  // namespace

std::uint64_t boottime_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

Parsed parse_snapshot(std::span<const std::byte> segment, bool alive,
                      std::uint64_t boottime_now_ms) {
  if (segment.size() < sizeof(Header)) {
    return {std::nullopt, kDamaged};
  }
  const auto& header = *reinterpret_cast<const Header*>(segment.data());
  if (header.magic != kMagic) {
    return {std::nullopt, "this file is not a stats segment of kfastd"};
  }
  if (header.layout_version != kLayoutVersion) {
    return {std::nullopt, "the stats segment has layout " + std::to_string(header.layout_version) +
                              ", this kfastctl reads layout " + std::to_string(kLayoutVersion) +
                              ": use the kfastctl that came with this kfastd"};
  }
  const std::uint64_t size = segment.size();
  if (header.segment_bytes != size || header.scope_count > kMaxScopes ||
      header.shard_count > kMaxShards || header.scopes_offset % alignof(ScopeInfo) != 0 ||
      header.descriptors_offset % alignof(Descriptor) != 0 ||
      !lies_within(header.scopes_offset, header.scope_count * sizeof(ScopeInfo), size) ||
      !lies_within(header.descriptors_offset,
                   std::uint64_t{header.descriptor_count} * sizeof(Descriptor), size)) {
    return {std::nullopt, kDamaged};
  }

  Snapshot snapshot;
  snapshot.layout_version = header.layout_version;
  snapshot.version = text_of(header.version);
  snapshot.pid = header.pid;
  snapshot.pid_namespace = header.pid_namespace;
  snapshot.alive = alive;
  // Acquire: draining comes with its deadline.
  snapshot.phase = static_cast<Phase>(header.phase.load(std::memory_order_acquire));
  const std::uint64_t deadline = header.drain_deadline_ms.load(std::memory_order_relaxed);
  if (deadline != 0 && snapshot.phase >= Phase::draining) {
    snapshot.drain_left_ms = deadline > boottime_now_ms ? deadline - boottime_now_ms : 0;
  }
  snapshot.start_realtime_ms = header.start_realtime_ms;
  const auto age_of = [&](std::uint64_t then) {
    return boottime_now_ms > then ? boottime_now_ms - then : 0;
  };
  snapshot.up_ms = age_of(header.start_boottime_ms);
  for (std::uint32_t shard = 0; shard < header.shard_count; ++shard) {
    const std::uint64_t packed = header.heartbeats[shard].packed.load(std::memory_order_relaxed);
    const std::uint64_t beat = packed >> 2;
    snapshot.beats.push_back({shard, static_cast<Activity>(packed & 3), age_of(beat)});
  }

  const auto* scopes = reinterpret_cast<const ScopeInfo*>(segment.data() + header.scopes_offset);
  const auto* descriptors =
      reinterpret_cast<const Descriptor*>(segment.data() + header.descriptors_offset);
  std::vector<std::vector<const Descriptor*>> metrics(header.scope_count);
  for (std::uint32_t index = 0; index < header.descriptor_count; ++index) {
    const Descriptor& descriptor = descriptors[index];
    if (descriptor.scope >= header.scope_count ||
        descriptor.index >= scopes[descriptor.scope].value_count) {
      return {std::nullopt, kDamaged};
    }
    metrics[descriptor.scope].push_back(&descriptor);
  }
  for (std::uint32_t index = 0; index < header.scope_count; ++index) {
    if (!geometry_is_sound(scopes[index], size)) {
      return {std::nullopt, kDamaged};
    }
    add_scope(snapshot, scopes[index], metrics[index], segment.data());
  }
  return {std::move(snapshot), {}};
}

const char* to_string(Phase phase) noexcept {
  switch (phase) {
    case Phase::starting:
      return "starting";
    case Phase::running:
      return "running";
    case Phase::draining:
      return "draining";
    case Phase::stopped:
      return "stopped";
  }
  return "in an unknown phase";
}

const char* to_string(Activity activity) noexcept {
  switch (activity) {
    case Activity::absent:
      return "not started";
    case Activity::working:
      return "working";
    case Activity::idle:
      return "idle";
  }
  return "in an unknown state";
}

}  // namespace kfast::ctl
