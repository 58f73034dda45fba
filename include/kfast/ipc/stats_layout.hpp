// The stats segment: `<socket_dir>/stats`, written by kfastd, mapped read-only by kfastctl.
//
//   Header | ScopeInfo[scope_count] | Descriptor[descriptor_count] | blocks of scope 0 | ...
//
// The segment describes itself: a scope says which texts its blocks carry and where, a descriptor
// says what one value of a block means. So a reader needs the layout version, and no list of
// counters of its own.
//
// A block has one writer. Its values are plain relaxed words. Its texts and its state change under
// a generation, which is odd while they change; read_block() retries until it saw one even
// generation around everything it copied.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kfast::ipc::stats {

inline constexpr std::uint64_t kMagic = 0x315354415453464bULL;  // "KFSTATS1" in memory
inline constexpr std::uint32_t kLayoutVersion = 1;
inline constexpr std::size_t kLine = 128;
inline constexpr std::uint32_t kMaxShards = 64;
inline constexpr std::uint32_t kMaxScopes = 16;
inline constexpr std::uint32_t kMaxTexts = 6;
inline constexpr std::uint32_t kMaxValues = 256;
inline constexpr std::uint32_t kMaxTextBytes = 1024;

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8 && alignof(Word) == 8);

enum class Kind : std::uint32_t {
  counter = 1,  ///< only grows while its block lives
  gauge = 2,    ///< goes up and down
};

enum class TextRole : std::uint32_t {
  label = 1,  ///< says what the block is about; fixed while the block is in use
  note = 2,   ///< changes while the block is in use, such as the last error
};

enum class Phase : std::uint64_t { starting = 1, running = 2, draining = 3, stopped = 4 };

/// What a shard was doing at its last heartbeat. An idle shard sleeps in the kernel and owes no
/// further heartbeat; a working one whose heartbeat is old hangs.
enum class Activity : std::uint64_t { absent = 0, working = 1, idle = 2 };

struct alignas(kLine) Heartbeat {
  Word packed;  ///< CLOCK_BOOTTIME in ms << 2 | Activity

  void store(Activity activity, std::uint64_t boottime_ms) noexcept {
    packed.store(boottime_ms << 2 | static_cast<std::uint64_t>(activity),
                 std::memory_order_relaxed);
  }
};

struct Header {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t shard_count;        ///< 1 to kMaxShards
  std::uint64_t segment_bytes;      ///< of the whole file
  std::int64_t start_realtime_ms;   ///< milliseconds since 1970
  std::uint64_t start_boottime_ms;  ///< CLOCK_BOOTTIME
  std::uint64_t scopes_offset;
  std::uint64_t descriptors_offset;
  std::uint32_t scope_count;  ///< 1 to kMaxScopes
  std::uint32_t descriptor_count;
  std::int32_t pid;  ///< as kfastd sees itself; the flock on the file says whether it lives
  std::uint32_t pid_namespace;  ///< in which `pid` counts, as the inode of /proc/self/ns/pid; or 0
  char version[56];             ///< kfastd's, NUL-terminated
  alignas(kLine) Word phase;    ///< Phase
  Word drain_deadline_ms;       ///< CLOCK_BOOTTIME; 0: no drain has begun
  Heartbeat heartbeats[kMaxShards];
};
static_assert(sizeof(Header) == (2 + kMaxShards) * kLine);
static_assert(offsetof(Header, phase) == kLine);
// Both are 0 in a segment of a kfastd that did not know them yet: the layout is the same one.
static_assert(offsetof(Header, pid_namespace) == 68 && offsetof(Header, drain_deadline_ms) == 136);

/// One text of a scope's blocks: `capacity` bytes at `offset` in the block, NUL-padded, read and
/// written by words.
struct TextInfo {
  char name[24];
  std::uint32_t offset;
  std::uint32_t
      capacity;  ///< multiple of 8, at most kMaxTextBytes; holds capacity - 1 bytes of text
  TextRole role;
  std::uint32_t reserved;
};
static_assert(sizeof(TextInfo) == 40);

struct ScopeInfo {
  char name[24];
  std::uint64_t blocks_offset;  ///< of block 0, which collects what has no block of its own
  std::uint32_t block_bytes;    ///< multiple of kLine
  std::uint32_t block_count;
  std::uint32_t values_offset;  ///< in a block, multiple of kLine
  std::uint32_t value_count;    ///< at most kMaxValues
  std::uint32_t text_count;     ///< at most kMaxTexts
  std::uint32_t reserved;
  Word blocks_touched;  ///< blocks from this index on were never used: a reader stops here
  TextInfo texts[kMaxTexts];
};
static_assert(sizeof(ScopeInfo) == 64 + kMaxTexts * sizeof(TextInfo));

/// What value `index` of a block of scope `scope` means.
struct Descriptor {
  char name[56];         ///< "kfast_discarded_messages_total"
  char label[16];        ///< "reason"; empty when the name says it all
  char label_value[24];  ///< "too_large"
  char unit[16];         ///< "messages"
  char help[192];        ///< one line
  std::uint32_t scope;
  std::uint32_t index;
  Kind kind;
  std::uint32_t reserved;
};
static_assert(sizeof(Descriptor) == 320);

enum class BlockState : std::uint64_t { free = 0, used = 1 };

/// A block's first line. The texts follow it, then the values at ScopeInfo::values_offset.
struct BlockHead {
  Word generation;  ///< odd while texts or state change; never goes back
  Word state;       ///< BlockState
};
static_assert(sizeof(BlockHead) == 16);

// ---- the generation protocol: one writer at a time, any number of readers -----------------------

/// Opens a change of a block's texts, state or identity. Every store until end_change must be a
/// release store (store_text, and what the caller adds): a reader that sees one of them then sees
/// the odd generation too.
inline void begin_change(BlockHead& head) noexcept {
  head.generation.store(head.generation.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
}

/// Closes it; pairs with the acquire load of the generation in read_block.
inline void end_change(BlockHead& head) noexcept {
  head.generation.store(head.generation.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);
}

/// Writes `text` into `capacity` bytes of words, cut to capacity - 1 bytes; a cut text ends in '~'.
inline void store_text(Word* words, std::size_t capacity, std::string_view text) noexcept {
  const std::size_t room = capacity - 1;
  const std::size_t size = text.size() < room ? text.size() : room;
  for (std::size_t at = 0; at < capacity; at += sizeof(Word)) {
    std::uint64_t packed = 0;
    if (at < size) {
      const std::size_t part = size - at < sizeof packed ? size - at : sizeof packed;
      std::memcpy(&packed, text.data() + at, part);
      if (text.size() > room && at + part == size) {
        reinterpret_cast<char*>(&packed)[part - 1] = '~';
      }
    }
    words[at / sizeof(Word)].store(packed, std::memory_order_release);
  }
}

/// Reads what store_text wrote; pairs with its release stores.
inline std::string load_text(const Word* words, std::size_t capacity) {
  char bytes[kMaxTextBytes];
  capacity = capacity < sizeof bytes ? capacity : sizeof bytes;
  for (std::size_t at = 0; at + sizeof(Word) <= capacity; at += sizeof(Word)) {
    const std::uint64_t packed = words[at / sizeof(Word)].load(std::memory_order_acquire);
    std::memcpy(bytes + at, &packed, sizeof packed);
  }
  return std::string(bytes, ::strnlen(bytes, capacity));
}

struct BlockCopy {
  std::uint64_t generation = 0;
  std::vector<std::string> texts;     ///< as ScopeInfo::texts
  std::vector<std::uint64_t> values;  ///< value_count of them
};

/// Copies block `bytes` of `scope`, whose geometry the caller has checked. Nothing when the block
/// is free, or kept changing for many attempts. Any thread or process.
inline std::optional<BlockCopy> read_block(const ScopeInfo& scope, const std::byte* bytes) {
  const auto& head = *reinterpret_cast<const BlockHead*>(bytes);
  const auto* values = reinterpret_cast<const Word*>(bytes + scope.values_offset);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    BlockCopy copy;
    copy.generation = head.generation.load(std::memory_order_acquire);
    if (copy.generation % 2 != 0) {
      continue;
    }
    const auto state = static_cast<BlockState>(head.state.load(std::memory_order_acquire));
    if (state == BlockState::used) {
      for (std::uint32_t text = 0; text < scope.text_count; ++text) {
        const TextInfo& info = scope.texts[text];
        copy.texts.push_back(
            load_text(reinterpret_cast<const Word*>(bytes + info.offset), info.capacity));
      }
      for (std::uint32_t index = 0; index < scope.value_count; ++index) {
        copy.values.push_back(values[index].load(std::memory_order_acquire));
      }
    }
    // The loads above are acquire loads, so this one cannot move before them.
    if (head.generation.load(std::memory_order_relaxed) != copy.generation) {
      continue;
    }
    if (state != BlockState::used) {
      return std::nullopt;
    }
    return copy;
  }
  return std::nullopt;
}

}  // namespace kfast::ipc::stats
