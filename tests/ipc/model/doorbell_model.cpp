// No wake-up is lost: clients publish and ring, a shard parks channels and goes to rest, and every
// frame is read in the end.
//
// An eventfd in an edge-triggered epoll is one flag per channel ("an edge since the last look") and
// one event that the shard waits for. A nap here never ends by itself, so that only the client can
// end it. A lost wake-up is a deadlock.
#include "model.hpp"

namespace kfast::ipc::model {
namespace {

constexpr std::uint64_t kFrame = kFrameAlign;

/// What is modelled. A mistake overrides the part that it gets wrong.
struct Plan {
  using Client = ModelAtomics<Honest>;
  using Shard = ModelAtomics<Honest>;
  using ParkingOfShard = Parking<Shard>;
  using RestOfShard = ShardRest<Shard>;
  static constexpr unsigned kChannels = 1;
  static constexpr unsigned kFrames = 3;  // each channel
  static constexpr std::uint64_t kCapacity = 8 * kFrame;
  static constexpr std::uint64_t kRingCapacity = kCapacity;  // as the client's ringer knows it
  static constexpr bool kParks = true;   // the shard may park a channel before it rests
  static constexpr bool kSleeps = true;  // the shard may rest with the channel active
  static constexpr bool kNaps = false;   // the rest may be a nap
  static constexpr bool kLooksBeforeRest = true;
  static constexpr bool kPublishesBeforeRing = true;
};

template <class P>
struct DoorbellSuite : rl::test_suite<DoorbellSuite<P>, P::kChannels + 1> {
  using Client = typename P::Client;
  using Shard = typename P::Shard;

  struct Channel {
    rl::atomic<std::uint64_t> tail;
    rl::atomic<std::uint64_t> head;
    rl::atomic<std::uint64_t> taken;
    rl::atomic<std::uint64_t> parked;
    rl::atomic<std::uint32_t> edge;
    unsigned rings = 0;
    unsigned rests = 0;
  };
  Channel channels[P::kChannels];
  rl::atomic<std::uint64_t> shard_word;
  rl::generic_event epoll;

  void before() {
    for (Channel& channel : channels) {
      channel.tail.store(0, rl::mo_relaxed, RL_INFO);
      channel.head.store(0, rl::mo_relaxed, RL_INFO);
      channel.taken.store(0, rl::mo_relaxed, RL_INFO);
      channel.parked.store(0, rl::mo_relaxed, RL_INFO);
      channel.edge.store(0, rl::mo_relaxed, RL_INFO);
    }
    shard_word.store(0, rl::mo_relaxed, RL_INFO);
    epoll.init(false, false, RL_INFO);
  }

  void after() {
    for (const Channel& channel : channels) {
      RL_ASSERT(channel.rings <=
                channel.rests);  // each rest and each parking wants one ring at most
    }
    epoll.deinit(RL_INFO);
  }

  void thread(unsigned index) {
    if (index < P::kChannels) {
      run_client(channels[index]);
    } else {
      run_shard();
    }
  }

  void run_client(Channel& channel) {
    RingWriter<Client> ring(channel.tail, channel.head, P::kCapacity, 0);
    Ringer<Client> ringer;
    for (unsigned i = 0; i < P::kFrames; ++i) {
      Reservation room{};
      RL_ASSERT(ring.reserve(kFrame, room));
      if (P::kPublishesBeforeRing) {
        ring.publish();
      }
      if (ringer.must_ring(channel.parked, shard_word, channel.taken, ring.reserved_end(),
                           P::kRingCapacity)) {
        ++channel.rings;
        channel.edge.store(1, rl::mo_seq_cst, RL_INFO);
        epoll.set(RL_INFO);
      }
      if (!P::kPublishesBeforeRing) {
        ring.publish();
      }
    }
  }

  /// The shard's side of one channel.
  struct Active {
    RingReader<Shard> ring;
    typename P::ParkingOfShard parking;
  };

  void run_shard() {
    Active active[P::kChannels];
    for (unsigned i = 0; i < P::kChannels; ++i) {
      Channel& channel = channels[i];
      active[i].ring = RingReader<Shard>(channel.tail, channel.head, P::kCapacity, 0);
      active[i].parking = typename P::ParkingOfShard(channel.parked);
    }
    typename P::RestOfShard rest(shard_word);
    while (!all_read(active)) {
      if (take_all(active) || !park_some(active)) {
        continue;
      }
      for (Channel& channel : channels) {
        ++channel.rests;
      }
      const bool at_rest = rest.rest(choose_state(active), [&] {
        for (unsigned i = 0; P::kLooksBeforeRest && i < P::kChannels; ++i) {
          if (!active[i].parking.parked() &&
              Shard::load_relaxed(channels[i].tail) != active[i].ring.seen()) {
            return true;
          }
        }
        return false;
      });
      if (at_rest) {
        epoll.wait(false, false, RL_INFO);
        rest.wake();
      }
      for (unsigned i = 0; i < P::kChannels; ++i) {
        const bool rang = channels[i].edge(RL_INFO).exchange(0, rl::mo_seq_cst) != 0;
        if (rang && active[i].parking.parked()) {
          active[i].parking.unpark();
        }
      }
    }
  }

  /// Reads what the active channels published. True: there was something.
  bool take_all(Active (&active)[P::kChannels]) {
    bool moved = false;
    for (unsigned i = 0; i < P::kChannels; ++i) {
      RingReader<Shard>& ring = active[i].ring;
      if (active[i].parking.parked()) {
        continue;
      }
      RL_ASSERT(ring.look());
      if (ring.unread() != 0) {
        ring.take(ring.unread());
        Shard::store_relaxed(channels[i].taken, ring.taken());
        ring.release(ring.taken());
        moved = true;
      }
    }
    return moved;
  }

  /// Parks channels as the plan has it. False: one of them has got a frame meanwhile.
  bool park_some(Active (&active)[P::kChannels]) {
    bool quiet = true;
    for (unsigned i = 0; i < P::kChannels; ++i) {
      if (!active[i].parking.parked() && P::kParks && (!P::kSleeps || rl::rand(2) == 0)) {
        ++channels[i].rests;
        quiet = active[i].parking.park(channels[i].tail, active[i].ring.seen()) && quiet;
      }
    }
    return quiet;
  }

  /// A nap only while the client is still going to fill half of the ring: nothing else ends it
  /// here.
  ShardState choose_state(const Active (&active)[P::kChannels]) {
    const std::uint64_t to_come = P::kFrames * kFrame - active[0].ring.taken();
    const bool may_nap = P::kNaps && to_come >= P::kCapacity / 2;
    return may_nap && rl::rand(2) == 0 ? ShardState::napping : ShardState::asleep;
  }

  static bool all_read(const Active (&active)[P::kChannels]) {
    for (const Active& channel : active) {
      if (channel.ring.taken() != P::kFrames * kFrame) {
        return false;
      }
    }
    return true;
  }
};

struct ParkOnly : Plan {
  static constexpr bool kSleeps = false;
};
struct SleepOnly : Plan {
  static constexpr bool kParks = false;
};
struct Nap : SleepOnly {
  static constexpr bool kNaps = true;
  static constexpr unsigned kFrames = 4;
  static constexpr std::uint64_t kCapacity = 4 * kFrame;
  static constexpr std::uint64_t kRingCapacity = kCapacity;
};
struct TwoChannels : Plan {
  static constexpr unsigned kChannels = 2;
  static constexpr unsigned kFrames = 2;
};

// ---- mistakes -----------------------------------------------------------------------------------

template <class P>
struct ClientWithoutFence : P {
  using Client = ModelAtomics<NoFence>;
};
template <class P>
struct ShardWithoutFence : P {
  using Shard = ModelAtomics<NoFence>;
  using ParkingOfShard = Parking<Shard>;
  using RestOfShard = ShardRest<Shard>;
};
template <class P>
struct RestWithoutLook : P {
  static constexpr bool kLooksBeforeRest = false;
};
template <class P>
struct RingBeforePublish : P {
  static constexpr bool kPublishesBeforeRing = false;
};
struct NapThatNeverRings : Nap {
  static constexpr std::uint64_t kRingCapacity = 64 * kCapacity;
};

/// Parks and believes it, whatever was published meanwhile.
class BlindParking : public Parking<Plan::Shard> {
 public:
  using Parking::Parking;
  [[nodiscard]] bool park(const rl::atomic<std::uint64_t>& tail, std::uint64_t seen) {
    while (!Parking::park(tail, seen)) {
      seen = Plan::Shard::load_relaxed(tail);
    }
    return true;
  }
};
struct ParkWithoutLook : ParkOnly {
  using ParkingOfShard = BlindParking;
};

/// Says 1 and 0 instead of generations: the client takes the second parking for the one that it has
/// rung for.
class FlatParking {
 public:
  FlatParking() = default;
  explicit FlatParking(rl::atomic<std::uint64_t>& word) : word_(&word) {}
  [[nodiscard]] bool parked() const { return parked_; }
  [[nodiscard]] bool park(const rl::atomic<std::uint64_t>& tail, std::uint64_t seen) {
    set(true);
    Plan::Shard::fence_seq_cst();
    if (Plan::Shard::load_relaxed(tail) != seen) {
      unpark();
    }
    return parked_;
  }
  void unpark() { set(false); }

 private:
  void set(bool parked) {
    parked_ = parked;
    Plan::Shard::store_relaxed(*word_, parked ? 1 : 0);
  }
  rl::atomic<std::uint64_t>* word_ = nullptr;
  bool parked_ = false;
};
struct ParkWithoutGeneration : ParkOnly {
  using ParkingOfShard = FlatParking;
};

template <class P>
bool nothing_is_lost() {
  return holds<DoorbellSuite<P>>({.iterations = 300'000});
}
template <class P>
bool loss_is_found() {
  return is_caught<DoorbellSuite<P>>({.iterations = 1'000'000}, rl::test_result_deadlock);
}

constexpr Check kChecks[] = {
    {"park_against_publish", nothing_is_lost<ParkOnly>},
    {"sleep_against_publish", nothing_is_lost<SleepOnly>},
    {"nap_against_crossing_half", nothing_is_lost<Nap>},
    {"park_and_sleep_against_publish", nothing_is_lost<Plan>},
    {"two_channels_of_one_shard", nothing_is_lost<TwoChannels>},
    {"sleep_against_publish_bounded_search",
     [] {
       return holds<DoorbellSuite<SleepOnly>>({.type = rl::fair_context_bound_scheduler_type});
     }},
    {"park_against_publish_bounded_search",
     [] {
       return holds<DoorbellSuite<ParkOnly>>({.type = rl::fair_context_bound_scheduler_type});
     }},
    {"park_without_client_fence_is_caught", loss_is_found<ClientWithoutFence<ParkOnly>>},
    {"park_without_shard_fence_is_caught", loss_is_found<ShardWithoutFence<ParkOnly>>},
    {"sleep_without_client_fence_is_caught", loss_is_found<ClientWithoutFence<SleepOnly>>},
    {"sleep_without_shard_fence_is_caught", loss_is_found<ShardWithoutFence<SleepOnly>>},
    {"nap_without_client_fence_is_caught", loss_is_found<ClientWithoutFence<Nap>>},
    {"nap_without_shard_fence_is_caught", loss_is_found<ShardWithoutFence<Nap>>},
    {"sleep_without_look_is_caught", loss_is_found<RestWithoutLook<SleepOnly>>},
    {"park_without_look_is_caught", loss_is_found<ParkWithoutLook>},
    {"park_without_generation_is_caught", loss_is_found<ParkWithoutGeneration>},
    {"ring_before_publish_is_caught", loss_is_found<RingBeforePublish<SleepOnly>>},
    {"nap_that_never_rings_is_caught", loss_is_found<NapThatNeverRings>},
};

}  // namespace
}  // namespace kfast::ipc::model

int main(int argc, char** argv) {
  return kfast::ipc::model::run_named(kfast::ipc::model::kChecks, argc, argv);
}
