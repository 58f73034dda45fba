#include <atomic>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/ring.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

/// As the option of kfast is read.
std::uint64_t capacity_of(const std::string& ring_bytes) {
  std::uint64_t number = 0;
  const char* end = ring_bytes.data() + ring_bytes.size();
  const char* unit = std::from_chars(ring_bytes.data(), end, number).ptr;
  const std::string_view units = "kmg";
  if (unit + 1 == end && units.find(*unit) != std::string_view::npos) {
    number <<= 10U * (units.find(*unit) + 1);
  } else if (unit != end) {
    number = 0;
  }
  if (!ipc::is_power_of_two(number)) {
    give_up("--ring " + ring_bytes + " is not a power of two, such as 32m");
  }
  return number;
}

/// The floor: a frame's length and the record's bytes into a ring of the same size, one release
/// store. The other thread only frees.
class RingSender : public Sender {
 public:
  explicit RingSender(const Task& task)
      : value_(task.value_bytes, 'v'),
        size_(ipc::align_up(sizeof(std::uint64_t) + task.value_bytes, ipc::kFrameAlign)),
        memory_(capacity_of(task.ring_bytes)),
        writer_(tail_, head_, memory_.size(), 0),
        reader_([this] { free_all(); }) {}
  ~RingSender() override {
    stop_.store(true, std::memory_order_relaxed);
    reader_.join();
  }
  RingSender(const RingSender&) = delete;
  RingSender& operator=(const RingSender&) = delete;

  std::uint64_t send(std::uint64_t /*count*/) override {
    ipc::Reservation room{};
    if (!writer_.reserve(size_, room)) [[unlikely]] {
      return 0;
    }
    const std::uint64_t length = value_.size();
    std::memcpy(memory_.data() + room.offset, &length, sizeof length);
    std::memcpy(memory_.data() + room.offset + sizeof length, value_.data(), value_.size());
    writer_.publish();
    ++sent_;
    return 1;
  }

  void read_reports() override {}
  void wait() override { std::this_thread::yield(); }
  /// There are no outcomes: what was sent counts.
  [[nodiscard]] std::uint64_t delivered() const override { return sent_; }

 private:
  void free_all() {
    while (!stop_.load(std::memory_order_relaxed)) {
      const std::uint64_t tail = tail_.load(std::memory_order_acquire);
      if (tail == head_.load(std::memory_order_relaxed)) {
        std::this_thread::yield();
      }
      head_.store(tail, std::memory_order_release);
    }
  }

  std::vector<char> value_;
  std::uint64_t size_;
  std::vector<std::byte> memory_;
  alignas(128) std::atomic<std::uint64_t> tail_{0};
  alignas(128) std::atomic<std::uint64_t> head_{0};
  alignas(128) ipc::RingWriter<ipc::HostAtomics> writer_;
  std::uint64_t sent_ = 0;
  std::atomic<bool> stop_{false};
  std::thread reader_;
};

}  // namespace

std::unique_ptr<Sender> make_ring_sender(const Task& task) {
  return std::make_unique<RingSender>(task);
}

}  // namespace kfast::bench
