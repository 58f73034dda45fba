#include "telemetry/segment_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "telemetry/process_log.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::telemetry {
namespace {

using namespace ipc::stats;

constexpr std::uint64_t kPage = 4096;
constexpr std::string_view kOther = "(other)";

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

template <std::size_t size>
void copy_text(char (&to)[size], std::string_view from) {
  const std::size_t length = from.size() < size ? from.size() : size - 1;
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

std::int64_t realtime_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

/// 0 where /proc is not there.
std::uint32_t pid_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

}  // namespace

Geometry plan(const std::array<std::uint32_t, kScopeCount>& blocks) {
  Geometry geometry{};
  geometry.scopes_offset = align_up(sizeof(Header), kLine);
  geometry.descriptors_offset =
      align_up(geometry.scopes_offset + kScopeCount * sizeof(ScopeInfo), kLine);
  for (const ScopeDeclaration& scope : scopes()) {
    geometry.descriptor_count += static_cast<std::uint32_t>(scope.counters.size());
  }
  std::uint64_t offset =
      geometry.descriptors_offset + geometry.descriptor_count * sizeof(Descriptor);
  for (std::uint32_t index = 0; index < kScopeCount; ++index) {
    const ScopeDeclaration& scope = scopes()[index];
    Geometry::ScopePlace& place = geometry.scopes[index];
    std::uint64_t texts = sizeof(BlockHead);
    for (const TextDeclaration& text : scope.texts) {
      texts += text.capacity;
    }
    place.values_offset = static_cast<std::uint32_t>(align_up(texts, kLine));
    place.block_bytes = static_cast<std::uint32_t>(
        align_up(place.values_offset + scope.counters.size() * sizeof(Word), kLine));
    place.block_count = blocks[index] != 0 ? blocks[index] : scope.default_blocks;
    offset = align_up(offset, kPage);
    place.blocks_offset = offset;
    offset += std::uint64_t{place.block_bytes} * place.block_count;
  }
  geometry.segment_bytes = align_up(offset, kPage);
  return geometry;
}

SegmentMemory::SegmentMemory(ipc::Fd fd, boost::interprocess::mapped_region region,
                             const Geometry& geometry, std::chrono::milliseconds cool_off,
                             Clock now)
    : fd_(std::move(fd)),
      region_(std::move(region)),
      geometry_(geometry),
      cool_off_(cool_off),
      now_(std::move(now)) {
  for (std::uint32_t scope = 0; scope < kScopeCount; ++scope) {
    tables_[scope].freed.make_room_for(geometry_.scopes[scope].block_count);
  }
}

std::byte* SegmentMemory::block(std::uint32_t scope, std::uint32_t index) const noexcept {
  const Geometry::ScopePlace& place = geometry_.scopes[scope];
  return base() + place.blocks_offset + std::uint64_t{place.block_bytes} * index;
}

Word* SegmentMemory::values(std::uint32_t scope, std::uint32_t index) const noexcept {
  return reinterpret_cast<Word*>(block(scope, index) + geometry_.scopes[scope].values_offset);
}

void SegmentMemory::describe(std::string_view version, std::uint32_t shards) {
  Header& head = header();
  head.layout_version = kLayoutVersion;
  head.shard_count = shards;
  head.segment_bytes = geometry_.segment_bytes;
  head.start_realtime_ms = realtime_ms();
  head.start_boottime_ms = boottime_ms();
  head.scopes_offset = geometry_.scopes_offset;
  head.descriptors_offset = geometry_.descriptors_offset;
  head.scope_count = kScopeCount;
  head.descriptor_count = geometry_.descriptor_count;
  head.pid = ::getpid();
  head.pid_namespace = pid_namespace();
  copy_text(head.version, version);

  auto* descriptor = reinterpret_cast<Descriptor*>(base() + geometry_.descriptors_offset);
  for (std::uint32_t index = 0; index < kScopeCount; ++index) {
    const ScopeDeclaration& declared = scopes()[index];
    const Geometry::ScopePlace& place = geometry_.scopes[index];
    ScopeInfo& info = scope(index);
    copy_text(info.name, declared.name);
    info.blocks_offset = place.blocks_offset;
    info.block_bytes = place.block_bytes;
    info.block_count = place.block_count;
    info.values_offset = place.values_offset;
    info.value_count = static_cast<std::uint32_t>(declared.counters.size());
    info.text_count = static_cast<std::uint32_t>(declared.texts.size());
    std::uint32_t offset = sizeof(BlockHead);
    for (std::uint32_t text = 0; text < info.text_count; ++text) {
      copy_text(info.texts[text].name, declared.texts[text].name);
      info.texts[text].offset = offset;
      info.texts[text].capacity = declared.texts[text].capacity;
      info.texts[text].role = declared.texts[text].role;
      offset += declared.texts[text].capacity;
    }
    std::uint32_t value = 0;
    for (const CounterDeclaration& counter : declared.counters) {
      copy_text(descriptor->name, counter.name);
      copy_text(descriptor->label, counter.label);
      copy_text(descriptor->label_value, counter.label_value);
      copy_text(descriptor->unit, counter.unit);
      copy_text(descriptor->help, counter.help);
      descriptor->scope = index;
      descriptor->index = value++;
      descriptor->kind = counter.kind;
      ++descriptor;
    }
    label_block(index, 0, {kOther, kOther, kOther, kOther});
    info.blocks_touched.store(1, std::memory_order_release);
  }
}

void SegmentMemory::label_block(std::uint32_t scope_index, std::uint32_t index,
                                std::initializer_list<std::string_view> labels) noexcept {
  std::byte* bytes = block(scope_index, index);
  const ScopeInfo& info = scope(scope_index);
  auto& head = *reinterpret_cast<BlockHead*>(bytes);
  begin_change(head);
  const auto* label = labels.begin();
  for (std::uint32_t text = 0; text < info.text_count; ++text) {
    const bool is_label = info.texts[text].role == TextRole::label;
    store_text(reinterpret_cast<Word*>(bytes + info.texts[text].offset), info.texts[text].capacity,
               is_label ? *label++ : std::string_view{});
  }
  Word* words = values(scope_index, index);
  for (std::uint32_t value = 0; value < info.value_count; ++value) {
    words[value].store(0, std::memory_order_release);
  }
  head.state.store(static_cast<std::uint64_t>(BlockState::used), std::memory_order_release);
  end_change(head);
}

std::uint32_t SegmentMemory::take_index(std::uint32_t scope_index) {
  Table& table = tables_[scope_index];
  const Geometry::ScopePlace& place = geometry_.scopes[scope_index];
  // Blocks that were used before come first: they cost no new page.
  if (!table.freed.empty() && now_() - table.freed.front().when >= cool_off_) {
    const std::uint32_t index = table.freed.front().index;
    table.freed.pop_front();
    return index;
  }
  if (table.next_unused < place.block_count) {
    const std::uint32_t index = table.next_unused;
    const auto offset = static_cast<off_t>(place.blocks_offset) +
                        static_cast<off_t>(place.block_bytes) * static_cast<off_t>(index);
    // A full file system shows here, and not as SIGBUS at the first store.
    if (::fallocate(fd_.get(), 0, offset, place.block_bytes) != 0 && errno != EOPNOTSUPP) {
      process_log().log(spdlog::level::warn, "stats_room",
                        "no room for more counters in the stats segment: {} (make room in "
                        "daemon.socket_dir); what is new is counted together scope={}",
                        std::strerror(errno), scopes()[scope_index].name);
      return 0;
    }
    ++table.next_unused;
    return index;
  }
  return 0;
}

std::uint32_t SegmentMemory::allocate(Scope scope_name,
                                      std::initializer_list<std::string_view> labels) {
  const auto scope_index = static_cast<std::uint32_t>(scope_name);
  const std::lock_guard lock(mutex_);
  const std::uint32_t index = take_index(scope_index);
  if (index != 0) {
    label_block(scope_index, index, labels);
    Word& touched = scope(scope_index).blocks_touched;
    if (touched.load(std::memory_order_relaxed) <= index) {
      touched.store(index + 1, std::memory_order_release);
    }
  }
  return index;
}

void SegmentMemory::free(std::uint32_t scope_index, std::uint32_t index) noexcept {
  const ScopeDeclaration& declared = scopes()[scope_index];
  const std::lock_guard lock(mutex_);
  auto& head = *reinterpret_cast<BlockHead*>(block(scope_index, index));
  begin_change(head);
  if (declared.keeps_totals) {
    Word* from = values(scope_index, index);
    Word* to = values(scope_index, 0);
    for (std::size_t value = 0; value < declared.counters.size(); ++value) {
      if (declared.counters[value].kind == Kind::counter) {
        to[value].fetch_add(from[value].load(std::memory_order_relaxed), std::memory_order_relaxed);
      }
    }
  }
  head.state.store(static_cast<std::uint64_t>(BlockState::free), std::memory_order_release);
  end_change(head);
  tables_[scope_index].freed.push_back({index, now_()});
}

void SegmentMemory::set_note(std::uint32_t scope_index, std::uint32_t index, std::string_view name,
                             std::string_view text) {
  const ScopeInfo& info = scope(scope_index);
  std::byte* bytes = block(scope_index, index);
  for (std::uint32_t at = 0; at < info.text_count; ++at) {
    const TextInfo& note = info.texts[at];
    if (note.role == TextRole::note && name == note.name) {
      const std::lock_guard lock(mutex_);
      auto& head = *reinterpret_cast<BlockHead*>(bytes);
      begin_change(head);
      store_text(reinterpret_cast<Word*>(bytes + note.offset), note.capacity, text);
      end_change(head);
      return;
    }
  }
  std::fprintf(stderr, "kfastd: scope %s of the stats segment has no note of this name\n",
               info.name);
  std::abort();
}

}  // namespace kfast::daemon::telemetry
