// A single-producer single-consumer byte ring of frames: the two halves that own its two positions.
//
// Positions count bytes and only grow; a frame's place in memory is its position modulo the
// capacity, a power of two. A frame never wraps: what does not fit before the end is preceded by
// padding. This file knows positions only, no memory and no frame contents, so that a model checker
// can run it with its own atomics.
#pragma once

#include <cstdint>

#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {

/// Room for one frame in a ring, not yet published.
struct Reservation {
  std::uint64_t position;  // of the frame, behind its padding
  std::uint64_t offset;    // position modulo capacity
  std::uint64_t padding;   // bytes of padding in front of it: 0, or up to the ring's end
};

/// The writer's half. One thread. `A` is HostAtomics or a model checker's policy.
template <class A>
class RingWriter {
 public:
  RingWriter() = default;
  /// `tail` is this side's word, `head` the other side's; both must outlive the writer (or be bound
  /// anew).
  RingWriter(typename A::U64& tail, const typename A::U64& head, std::uint64_t capacity,
             std::uint64_t position)
      : tail_word_(&tail),
        head_word_(&head),
        capacity_(capacity),
        tail_(position),
        next_(position),
        head_(position) {}

  /// Goes on against another head word: the reader was replaced. `head` is where the new reader
  /// stands.
  void bind_head(const typename A::U64& head_word, std::uint64_t head) {
    head_word_ = &head_word;
    head_ = head;
  }

  /// Finds room for `size` bytes (already aligned) behind what is reserved. False: full; nothing
  /// changed.
  [[nodiscard]] bool reserve(std::uint64_t size, Reservation& out) {
    const std::uint64_t offset = next_ & (capacity_ - 1);
    const std::uint64_t to_end = capacity_ - offset;
    const std::uint64_t padding = size > to_end ? to_end : 0;
    if (next_ + padding + size - head_ > capacity_) {
      refresh_head();
      if (next_ + padding + size - head_ > capacity_) {
        return false;
      }
    }
    out.padding = padding;
    out.position = next_ + padding;
    out.offset = out.position & (capacity_ - 1);
    next_ = out.position + size;
    return true;
  }

  /// Gives back the end of the newest frame: it keeps `size` bytes (already aligned). `newest` is
  /// what the last successful reserve() answered, nothing was published or abandoned since, and
  /// `size` is at most what was asked for then.
  void shrink(const Reservation& newest, std::uint64_t size) { next_ = newest.position + size; }

  /// Takes back everything that was reserved and not published.
  void abandon() { next_ = tail_; }

  /// Makes every reserved frame visible. One release store: a writer that dies before it leaves
  /// nothing behind.
  void publish() {
    tail_ = next_;
    A::store_release(*tail_word_, tail_);  // pairs with the acquire load in RingReader::look
  }

  /// Looks at how far the reader is. The acquire orders our later overwriting after its reading.
  std::uint64_t refresh_head() {
    head_ = A::load_acquire(*head_word_);  // pairs with the release store in RingReader::release
    return head_;
  }

  [[nodiscard]] std::uint64_t tail() const { return tail_; }
  [[nodiscard]] std::uint64_t reserved_end() const { return next_; }
  [[nodiscard]] std::uint64_t cached_head() const { return head_; }
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }

 private:
  typename A::U64* tail_word_ = nullptr;
  const typename A::U64* head_word_ = nullptr;
  std::uint64_t capacity_ = 0;
  std::uint64_t tail_ = 0;  // published
  std::uint64_t next_ = 0;  // reserved
  std::uint64_t head_ =
      0;  // the reader's position as last seen: it only grows, so an old value is safe
};

/// The reader's half. One thread. Reading and freeing are two positions: `taken` is what was read,
/// `head` what is free for the writer again. The writer may be hostile: look() refuses a tail that
/// no honest writer can have stored.
template <class A>
class RingReader {
 public:
  RingReader() = default;
  RingReader(const typename A::U64& tail, typename A::U64& head, std::uint64_t capacity,
             std::uint64_t position)
      : tail_word_(&tail),
        head_word_(&head),
        capacity_(capacity),
        seen_(position),
        taken_(position),
        head_(position) {}

  /// Loads the writer's tail, once. False: the tail is impossible (went back, overran the ring, is
  /// not aligned).
  [[nodiscard]] bool look() {
    const std::uint64_t tail = A::load_acquire(*tail_word_);  // pairs with RingWriter::publish
    if (tail - head_ > capacity_ || tail - head_ < seen_ - head_ || tail % kFrameAlign != 0) {
      return false;
    }
    seen_ = tail;
    return true;
  }

  /// Bytes that were seen and not taken.
  [[nodiscard]] std::uint64_t unread() const { return seen_ - taken_; }
  /// Bytes from the next frame to the ring's end: no frame may be longer.
  [[nodiscard]] std::uint64_t to_end() const { return capacity_ - (taken_ & (capacity_ - 1)); }
  [[nodiscard]] std::uint64_t offset() const { return taken_ & (capacity_ - 1); }

  /// Moves behind a frame of `size` aligned bytes; the caller has checked it against unread() and
  /// to_end().
  void take(std::uint64_t size) { taken_ += size; }

  /// Back to the head: what was taken since and not freed is read once more.
  void take_again() { taken_ = head_; }

  /// Frees everything before `position`, which lies in [head, taken].
  void release(std::uint64_t position) {
    head_ = position;
    A::store_release(*head_word_, head_);  // pairs with RingWriter::refresh_head
  }

  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  [[nodiscard]] std::uint64_t head() const { return head_; }
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }

 private:
  const typename A::U64* tail_word_ = nullptr;
  typename A::U64* head_word_ = nullptr;
  std::uint64_t capacity_ = 0;
  std::uint64_t seen_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t head_ = 0;
};

}  // namespace kfast::ipc
