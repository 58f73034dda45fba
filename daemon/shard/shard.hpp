// A shard: one thread with its own epoll loop, channels and Kafka instances.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <boost/interprocess/mapped_region.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "channel/producer_channel.hpp"
#include "config/config.hpp"
#include "kafka/instance.hpp"
#include "kfast/ipc/doorbell.hpp"
#include "kfast/ipc/fd.hpp"
#include "policy/access_list.hpp"
#include "policy/quota.hpp"
#include "policy/rate_limit.hpp"
#include "shard/client_link.hpp"
#include "shard/kafka_sink.hpp"
#include "shard/rest_policy.hpp"
#include "shard/topic_claims.hpp"
#include "shard/topic_stats.hpp"
#include "shard/vain_rings.hpp"
#include "shard/wall_clock.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::shard {

/// A channel on its way to a shard.
struct NewChannel {
  std::uint32_t number = 0;
  std::string profile;
  ipc::ReportsMode reports = ipc::ReportsMode::all;
  channel::Segments segments;
  std::optional<channel::Inheritance> inherited;
  bool client_away = false;  // adopted without its client, which may come: client_has_come()
  ipc::Fd doorbell;          // the eventfd that the client writes
  policy::Principal principal;
  pid_t pid = 0;
  std::vector<policy::Lease> leases;
  std::shared_ptr<ClientLink> link;
};

/// What a drain still waits for.
struct Waiting {
  std::uint64_t records = 0;  // taken, no outcome yet
  std::uint64_t bytes = 0;    // of rings, to be taken
};

/// What a shard says of itself.
struct Standing {
  std::size_t clusters = 0;
  std::size_t clusters_up = 0;  // those of which librdkafka has not said that all brokers are down
  Waiting waiting;
};

/// Records without an outcome when a drain ended, and the channels that they are in.
struct Undelivered {
  struct Part {
    std::uint64_t records = 0;
    std::uint64_t channels = 0;
  };
  Part of_the_living;         // of workers that live: they stay in their rings
  Part of_the_dead;           // of workers that are gone
  std::string dead_channels;  // their numbers, for the log
};

/// Who hears of a drain; called on the shard's thread.
struct DrainListener {
  std::function<void(Waiting)> progress;  // about once a second
  std::function<void(Undelivered)> done;  // once
};

/// What a profile means for the channels that use it.
struct ProfileInfo {
  std::uint64_t max_record_bytes = 0;
};

/// Lifecycle: create(), start(), any posts, drain(), stop(). Public functions may be called by any
/// thread.
class Shard : private kafka::EventHandler {
 public:
  struct Environment {
    const config::Config& config;
    const policy::AccessList& access;
    policy::Quota& quota;
    telemetry::StatsSegment& stats;
    std::uint64_t daemon_epoch = 0;
  };

  /// Makes the shard page and the Kafka instances of all producer profiles. Fails with a sentence.
  [[nodiscard]] static Result<std::unique_ptr<Shard>> create(std::uint32_t index,
                                                             Environment environment);
  ~Shard() override;

  void start();

  void add_channel(NewChannel channel);
  /// The client of a channel that was adopted without it has gone over to our d2c segment; `link`
  /// takes the place of the channel's.
  void client_has_come(std::uint32_t number, std::shared_ptr<ClientLink> link);
  enum class Retirement : std::uint8_t {
    session_ended,  // the worker may come back, and then hands its segments to another session
    not_allowed,  // it may come back when it is allowed again: what was not taken stays in its ring
    for_good,     // it has closed the channel, or its process is gone
    violation,    // for good, and nothing further is taken
  };
  /// Takes what was committed, reports to who may come back, then frees the channel.
  void retire_channel(std::uint32_t number, Retirement why);

  /// Stops taking new records; what was committed until now is taken and flushed. It is done when
  /// nothing is in flight or `deadline` has passed; the rest stays in its ring.
  void drain(std::chrono::milliseconds deadline, DrainListener listener);
  /// The drain is over at once.
  void end_drain();

  /// What is allowed has changed, or limits have: channels ask again.
  void policy_changed();
  /// Profiles' properties have changed: another Kafka instance takes the place of each one's, which
  /// is given nothing more. What it had no answer for in time is submitted again.
  void renew(std::vector<config::KafkaSetup> profiles);
  /// Only the passwords of these profiles have changed: their Kafka instances go on, and log in with
  /// the new one from the next connection on.
  void renew_passwords(std::vector<config::KafkaSetup> profiles);

  /// The shard's thread answers in its next round.
  void ask(std::function<void(Standing)> answer);

  /// Ends the thread. Records without an outcome stay in their rings.
  void stop();

  [[nodiscard]] int page_fd() const noexcept { return page_fd_.get(); }
  [[nodiscard]] std::optional<ProfileInfo> profile(const std::string& name) const;
  /// Whether a channel over this c2d segment is still here.
  [[nodiscard]] bool holds_segment(std::uint64_t c2d_inode) const;

 private:
  struct Slot {
    std::unique_ptr<channel::ProducerChannel> channel;
    std::unique_ptr<KafkaSink> sink;
    kafka::Instance* instance = nullptr;
    std::shared_ptr<ClientLink> link;
    policy::Principal principal;
    std::vector<policy::Lease> leases;
    policy::RateLimit* rate = nullptr;  // of the principal, shared by its channels here
    telemetry::ChannelBlock stats;
    ipc::Fd doorbell;
    std::uint64_t inode = 0;
    std::uint64_t record_bytes = ipc::kFrameAlign;  // of its ring, on average, in the last turn
    std::uint32_t empty_rounds = 0;
    std::uint16_t generation = 0;
    bool active = false;
    bool heard = false;  // its doorbell is watched; else it must never be parked
    VainRings rings;
    bool touched = false;
    bool throttled = false;  // over its rate: not looked at before throttled_until_ns_
    bool retired = false;
    bool violated = false;
  };
  struct Profile {
    telemetry::ProfileBlock stats;
    ipc::Fd wake;                    // librdkafka writes it, so it is closed after the instances
    std::future<void> former_ended;  // the instance before this one; waited for on destruction
    std::unique_ptr<kafka::Instance> instance;
    std::chrono::steady_clock::time_point made;
    config::KafkaSetup setup;
    ProfileInfo info;  // read by any thread, under the mutex
    /// After a fatal error, or for a reload: when to go on with replacing the instance, at the
    /// latest.
    std::optional<std::chrono::steady_clock::time_point> replace_at;
    bool ready = true;  // at first, too: what came before `wake` was watched has not written it
  };

  explicit Shard(std::uint32_t index, Environment environment);
  Result<bool> make_instances();
  Result<bool> make_instance(const std::string& name, Profile& profile);
  void replace_ended(const std::string& name, Profile& profile);
  void review_slots();
  void take_again(const kafka::Instance& former, kafka::Instance& next);
  bool watch(int fd, std::uint64_t tag);
  void change_watch(int fd, std::uint64_t tag, bool on);

  void post(std::function<void()> command);
  void run();
  void serve_commands();
  void adopt(NewChannel request);
  void welcome_client(std::uint32_t number, std::shared_ptr<ClientLink> link);
  void retire(std::uint32_t number, Retirement why);
  std::uint64_t take_round(bool& more);
  [[nodiscard]] bool stays(const Slot& slot) const;
  std::uint64_t take_from(std::uint16_t index, bool& more);
  std::uint64_t took(std::uint16_t index, const channel::TakeResult& taken, bool& more);
  void hold_back(Slot& slot, std::uint64_t until_ns);
  void serve_kafka();
  void on_delivery(const kafka::DeliveryReport& report) override;
  void on_refusal(const kafka::Instance& instance) override;
  void touch(std::uint16_t index);
  void finish_touched();
  void close_drained(std::uint16_t index);
  void end_violator(std::uint16_t index, const char* rule);
  void activate(std::uint16_t index);
  void on_ring(std::uint16_t index);
  void listen(const Slot& slot, std::uint16_t index, bool on);
  void mute(std::uint16_t index);
  void hear_muted_again();
  void read_clocks();
  void judge_gathering(std::uint64_t records);
  [[nodiscard]] Nap next_nap();
  void rest(Rest choice, Nap naps);
  bool wait(std::int64_t timeout_ns);
  [[nodiscard]] bool anybody_waits() const;
  void listen_to_kafka(bool on);
  void check_drain();
  [[nodiscard]] Standing standing() const;
  [[nodiscard]] Undelivered undelivered() const;
  [[nodiscard]] bool anything_published() const;
  [[nodiscard]] std::int64_t next_deadline_ns();

  const std::uint32_t index_;
  Environment environment_;
  ipc::Fd page_fd_;
  boost::interprocess::mapped_region page_;
  ipc::ShardRest<ipc::HostAtomics> rest_;
  RestPolicy policy_;
  WallClock wall_clock_;
  TopicClaims topic_claims_;
  TopicStats topic_stats_;
  telemetry::ShardBlock stats_;
  std::map<std::string, Profile, std::less<>> profiles_;
  ipc::Fd epoll_;
  ipc::Fd command_fd_;
  std::vector<Slot> slots_;
  std::vector<std::uint16_t> free_slots_;
  std::vector<std::uint16_t> active_;
  std::vector<std::uint16_t> touched_;
  std::vector<std::uint16_t> muted_;  // their doorbells are not listened to
  std::uint64_t muted_until_ns_ = 0;  // 0: none is
  std::map<std::uint32_t, std::uint16_t> by_number_;
  std::map<uid_t, policy::RateLimit> rates_;
  std::uint64_t throttled_until_ns_ = 0;  // 0: nobody
  std::uint64_t gather_again_ns_ = 0;     // when records may gather again; 0: they may
  bool unanswered_ = false;               // a nap for Kafka's answer has ended without it
  bool stopping_ = false;
  bool hears_kafka_ = true;

  struct Drain {
    std::chrono::steady_clock::time_point deadline;
    std::chrono::steady_clock::time_point next_progress;
    DrainListener listener;
  };
  std::optional<Drain> drain_;

  mutable std::mutex mutex_;  // guards what other threads touch: the two members below, and
                              // what profiles say of themselves
  std::vector<std::function<void()>> commands_;
  std::map<std::uint64_t, std::uint32_t> inodes_;  // c2d inode -> channel number

  std::thread thread_;
};

}  // namespace kfast::daemon::shard
