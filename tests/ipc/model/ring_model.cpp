// The ring's bytes under every order that the memory model allows: a frame is read whole, and its
// room is written again only after it was read. One cell stands for kFrameAlign bytes.
#include "model.hpp"

namespace kfast::ipc::model {
namespace {

constexpr std::uint64_t kCells = 4;
constexpr std::uint64_t kCapacity = kCells * kFrameAlign;
constexpr int kPadding = -1;
/// In cells. The third frame does not fit before the end, so there is padding; after the second the
/// ring is in use again.
constexpr std::uint64_t kFrames[] = {1, 2, 2, 1};
/// Positions near the end of u64, so that the model crosses it.
constexpr std::uint64_t kStart = std::uint64_t{0} - kCapacity;

template <class WriterMutation, class ReaderMutation>
struct RingSuite : rl::test_suite<RingSuite<WriterMutation, ReaderMutation>, 2> {
  using Writer = ModelAtomics<WriterMutation>;
  using Reader = ModelAtomics<ReaderMutation>;

  rl::atomic<std::uint64_t> tail;
  rl::atomic<std::uint64_t> head;
  rl::var<int> cells[kCells];

  void before() {
    tail.store(kStart, rl::mo_relaxed, RL_INFO);
    head.store(kStart, rl::mo_relaxed, RL_INFO);
  }

  void thread(unsigned index) { index == 0 ? write() : read(); }

  void write() {
    RingWriter<Writer> ring(tail, head, kCapacity, kStart);
    int frame = 1;
    for (const std::uint64_t size : kFrames) {
      Reservation room{};
      while (!ring.reserve(size * kFrameAlign, room)) {
        rl::yield(1, RL_INFO);
      }
      if (room.padding != 0) {
        cell(room.position - room.padding).store(kPadding);
      }
      for (std::uint64_t i = 0; i < size; ++i) {
        cell(room.position + i * kFrameAlign).store(frame);
      }
      ring.publish();
      ++frame;
    }
  }

  void read() {
    RingReader<Reader> ring(tail, head, kCapacity, kStart);
    int frame = 1;
    for (const std::uint64_t size : kFrames) {
      wait_for_bytes(ring);
      if (cell(ring.taken()).load() == kPadding) {
        ring.take(ring.to_end());
        ring.release(ring.taken());
        wait_for_bytes(ring);
      }
      RL_ASSERT(ring.unread() >= size * kFrameAlign && ring.to_end() >= size * kFrameAlign);
      for (std::uint64_t i = 0; i < size; ++i) {
        RL_ASSERT(cell(ring.taken() + i * kFrameAlign).load() == frame);
      }
      ring.take(size * kFrameAlign);
      ring.release(ring.taken());
      ++frame;
    }
  }

  void wait_for_bytes(RingReader<Reader>& ring) {
    for (;;) {
      RL_ASSERT(ring.look());
      if (ring.unread() != 0) {
        return;
      }
      rl::yield(1, RL_INFO);
    }
  }

  rl::var_proxy<int> cell(std::uint64_t position) {
    return cells[position % kCapacity / kFrameAlign](RL_INFO);
  }
};

using HonestRing = RingSuite<Honest, Honest>;

constexpr Check kChecks[] = {
    {"bytes_are_read_whole", [] { return holds<HonestRing>({.iterations = 300'000}); }},
    {"bytes_are_read_whole_bounded_search",
     [] { return holds<HonestRing>({.type = rl::fair_context_bound_scheduler_type}); }},
    {"publish_without_release_is_caught",
     [] { return is_caught<RingSuite<NoRelease, Honest>>({}, rl::test_result_data_race); }},
    {"look_without_acquire_is_caught",
     [] { return is_caught<RingSuite<Honest, NoAcquire>>({}, rl::test_result_data_race); }},
    {"free_without_release_is_caught",
     [] { return is_caught<RingSuite<Honest, NoRelease>>({}, rl::test_result_data_race); }},
    {"reuse_without_acquire_is_caught",
     [] { return is_caught<RingSuite<NoAcquire, Honest>>({}, rl::test_result_data_race); }},
};

}  // namespace
}  // namespace kfast::ipc::model

int main(int argc, char** argv) {
  return kfast::ipc::model::run_named(kfast::ipc::model::kChecks, argc, argv);
}
