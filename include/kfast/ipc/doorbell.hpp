// When a writer must make a system call to wake the reader, and how the reader goes to rest without
// missing a frame.
//
// Both sides do the same three steps: publish, full fence, look at the other side's word. Whoever
// comes second sees the other's store, so either the writer rings or the reader sees the frame.
// Without the fences a wake-up is lost about once in ten thousand rounds. Words carry generations:
// each resting period wants one ring at most.
#pragma once

#include <cstdint>

#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {

/// The client's half: decides after each publish whether the channel's eventfd must be written. One
/// thread.
template <class A>
class Ringer {
 public:
  /// `tail` is what was just published; `taken` is looked at only while the shard naps. True: write
  /// the eventfd.
  [[nodiscard]] bool must_ring(const typename A::U64& parked_word,
                               const typename A::U64& shard_word, const typename A::U64& taken_word,
                               std::uint64_t tail, std::uint64_t capacity) {
    A::fence_seq_cst();  // pairs with the fences in Parking::park and ShardRest::rest
    const std::uint64_t parked = A::load_relaxed(parked_word);
    if ((parked & 1U) != 0) {
      if (parked == rung_parked_) {
        return false;
      }
      rung_parked_ = parked;
      return true;
    }
    const std::uint64_t shard = A::load_relaxed(shard_word);
    constexpr std::uint64_t mask = (1U << kShardStateBits) - 1;
    const auto state = static_cast<ShardState>(shard & mask);
    if (state == ShardState::awake || shard == rung_shard_) {
      return false;
    }
    if (state == ShardState::napping && tail - A::load_relaxed(taken_word) < capacity / 2) {
      return false;  // the nap ends by itself, soon enough
    }
    rung_shard_ = shard;
    return true;
  }

  /// Forgets what was rung: the channel got another daemon.
  void reset() { rung_parked_ = rung_shard_ = ~std::uint64_t{0}; }

 private:
  std::uint64_t rung_parked_ = ~std::uint64_t{0};
  std::uint64_t rung_shard_ = ~std::uint64_t{0};
};

/// The daemon's half for one channel: parked (left alone until its eventfd rings) or active. One
/// thread: the shard's.
template <class A>
class Parking {
 public:
  Parking() = default;
  /// `generation` is the word's value now; odd means parked.
  explicit Parking(typename A::U64& word) : word_(&word), value_(A::load_relaxed(word)) {}

  [[nodiscard]] bool parked() const { return (value_ & 1U) != 0; }

  /// Parks, unless the writer published behind `seen` meanwhile. True: parked. The word `tail`
  /// belongs to the client.
  [[nodiscard]] bool park(const typename A::U64& tail, std::uint64_t seen) {
    ++value_;
    A::store_relaxed(*word_, value_);
    A::fence_seq_cst();  // pairs with the fence in Ringer::must_ring
    if (A::load_relaxed(tail) == seen) {
      return true;
    }
    unpark();
    return false;
  }

  void unpark() {
    ++value_;
    A::store_relaxed(*word_, value_);
  }

 private:
  typename A::U64* word_ = nullptr;
  std::uint64_t value_ = 0;
};

/// The daemon's half for one shard: awake, napping or asleep. One thread: the shard's.
template <class A>
class ShardRest {
 public:
  ShardRest() = default;
  explicit ShardRest(typename A::U64& word) : word_(&word) {}

  /// Announces a rest. `any_published()` looks at the tails of all active channels; when it finds
  /// one that has moved, the shard stays awake and the answer is false.
  template <class AnyPublished>
  [[nodiscard]] bool rest(ShardState state, AnyPublished&& any_published) {
    set(state);
    A::fence_seq_cst();  // pairs with the fence in Ringer::must_ring
    if (any_published()) {
      wake();
      return false;
    }
    return true;
  }

  void wake() { set(ShardState::awake); }

 private:
  void set(ShardState state) {
    ++generation_;
    A::store_relaxed(*word_, (generation_ << kShardStateBits) | static_cast<std::uint64_t>(state));
  }

  typename A::U64* word_ = nullptr;
  std::uint64_t generation_ = 0;
};

}  // namespace kfast::ipc
