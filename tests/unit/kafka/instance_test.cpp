// Records on their way to librdkafka, against its mock broker: their order, their times, and what is
// refused.
#include "kafka/instance.hpp"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "telemetry/stats.hpp"

namespace kfast::daemon::kafka {
namespace {

constexpr std::size_t kMostBytes = 2000;    // message.max.bytes
constexpr std::int32_t kPartitions = 12;    // of the topic "spread"
constexpr std::int64_t kStickyMs = 60'000;  // sticky.partitioning.linger.ms

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// librdkafka's mock broker, which also fails requests.
class Broker {
 public:
  Broker() {
    std::array<char, 256> why{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", why.data(), why.size());
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    cluster_ = rd_kafka_mock_cluster_new(rk_, 1);
    // From 10 on its answer names the leader, also where there is none: librdkafka 2.8.0 dies of it.
    rd_kafka_mock_set_apiversion(cluster_, kProduce, 0, 9);
    rd_kafka_mock_topic_create(cluster_, "orders", 1, 1);
    rd_kafka_mock_topic_create(cluster_, "spread", kPartitions, 1);
  }
  ~Broker() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(rk_);
  }
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  void create_topic(const std::string& name) {
    rd_kafka_mock_topic_create(cluster_, name.c_str(), 1, 1);
  }

  [[nodiscard]] std::string bootstrap() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void fail_next_produce(rd_kafka_resp_err_t error) {
    rd_kafka_mock_push_request_errors(cluster_, kProduce, 1, error);
  }

  /// How long each answer takes at least.
  void answer_after(int ms) { rd_kafka_mock_broker_set_rtt(cluster_, 1, ms); }

  void set_leader(std::int32_t partition_of_spread, std::int32_t broker) {
    rd_kafka_mock_partition_set_leader(cluster_, "spread", partition_of_spread, broker);
  }

  struct Read {
    std::string value;
    std::int64_t timestamp = 0;
  };
  /// The first `count` records of the topic.
  [[nodiscard]] std::vector<Read> read(std::size_t count) const {
    std::array<char, 256> why{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap().c_str(), why.data(), why.size());
    rd_kafka_conf_set(conf, "group.id", "test", why.data(), why.size());
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why.data(), why.size());
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "orders", 0)->offset = 0;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    std::vector<Read> all;
    while (all.size() < count) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 1000);
      if (message != nullptr && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        all.push_back({std::string(static_cast<const char*>(message->payload), message->len),
                       rd_kafka_message_timestamp(message, nullptr)});
      }
      if (message != nullptr) {
        rd_kafka_message_destroy(message);
      }
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return all;
  }

 private:
  static constexpr std::int16_t kProduce = 0;  // the request's number

  rd_kafka_t* rk_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

class InstanceTest : public ::testing::Test, private EventHandler {
 protected:
  void SetUp() override {
    const config::Cluster cluster{
        "main", {{.name = "bootstrap.servers", .value = broker_.bootstrap()}}, {}};
    const config::Profile profile{
        "default",
        "main",
        {{.name = "message.max.bytes", .value = std::to_string(kMostBytes)},
         {.name = "linger.ms", .value = linger_},
         {.name = "batch.num.messages", .value = batch_},
         {.name = "sticky.partitioning.linger.ms", .value = std::to_string(kStickyMs)}},
        {}};
    auto conf = config::make_producer_conf(cluster, profile);
    ASSERT_TRUE(conf.ok());
    auto made = Instance::create(conf.take(), "main", "default", wake_.get(), stats_, *segment_, 0);
    ASSERT_TRUE(made.ok());
    instance_ = made.take();
    topic_ = instance_->topic("orders");
    ASSERT_NE(topic_, nullptr);
  }
  void TearDown() override {
    if (instance_) {
      instance_->purge();
      serve_all();
    }
  }

  rd_kafka_resp_err_t produce(const std::string& value, std::uint64_t opaque, std::int64_t sent_ms,
                              const std::string* key = nullptr) {
    ProduceRequest request;
    if (key != nullptr) {
      request.key = key->data();
      request.key_size = key->size();
    }
    request.topic = topic_;
    request.timestamp_ms = sent_ms;
    request.value = value.data();
    request.value_size = value.size();
    request.opaque = opaque;
    return instance_->produce(std::move(request));
  }
  void serve_all() {
    while (instance_->in_flight() != 0) {
      instance_->serve(*this, 64);
    }
  }
  /// Gives up after so long.
  void serve_when_there_is_something(int at_most_ms) {
    pollfd fd{wake_.get(), POLLIN, 0};
    static_cast<void>(::poll(&fd, 1, at_most_ms));
    std::uint64_t ignored = 0;
    static_cast<void>(::read(wake_.get(), &ignored, sizeof ignored));
    instance_->serve(*this, 64);
  }
  void on_refusal(const Instance& instance) override { refusals_.push_back(instance.refusal()); }
  void on_delivery(const DeliveryReport& report) override {
    (report.purged ? purged_ : delivered_).insert(report.opaque);
    outcome_[report.opaque] = report.outcome;
    partition_[report.opaque] = report.partition;
  }
  /// The partitions that ten records take at this time.
  std::set<std::int32_t> partitions_at(std::int64_t ms, const std::string* key = nullptr) {
    instance_->round_begins(ms);
    partition_.clear();
    for (std::uint64_t n = 0; n < 10; ++n) {
      EXPECT_EQ(produce("value", n, now_ms(), key), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    serve_all();
    std::set<std::int32_t> found;
    for (const auto& [opaque, partition] : partition_) {
      found.insert(partition);
    }
    return found;
  }

  std::string batch_ = "10000";
  std::string linger_ = "0";
  std::map<std::uint64_t, ipc::Outcome> outcome_;
  Broker broker_;
  ipc::Fd wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::unique_ptr<telemetry::StatsSegment> segment_ =
      telemetry::StatsSegment::create({.version = "test"}).segment;
  telemetry::ProfileBlock stats_ = segment_->profile_block("main", "default");
  std::unique_ptr<Instance> instance_;
  Topic* topic_ = nullptr;
  std::vector<std::string> refusals_;
  std::multiset<std::uint64_t> delivered_;
  std::multiset<std::uint64_t> purged_;
  std::map<std::uint64_t, std::int32_t> partition_;
};

TEST_F(InstanceTest, RecordsKeepTheirOrderAndTheTimeOfTheirSend) {
  const std::int64_t now = now_ms();
  const std::array<std::int64_t, 4> sent{now - 5000, now, now + 9000, now - 4000};
  for (std::size_t n = 0; n < sent.size(); ++n) {
    ASSERT_EQ(produce(std::to_string(n), n, sent.at(n)), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  serve_all();
  EXPECT_EQ(delivered_, (std::multiset<std::uint64_t>{0, 1, 2, 3}));
  const std::vector<Broker::Read> read = broker_.read(sent.size());
  for (std::size_t n = 0; n < sent.size(); ++n) {
    EXPECT_EQ(read.at(n).value, std::to_string(n));
    EXPECT_EQ(read.at(n).timestamp, sent.at(n));
  }
}

class EachRecordIsARequest : public InstanceTest {
 protected:
  EachRecordIsARequest() { batch_ = "1"; }
};

TEST_F(EachRecordIsARequest, TheNextOnesSuccessSaysNothingOfTheFirstToAPartition) {
  broker_.answer_after(100);  // so that two are on their way
  broker_.fail_next_produce(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
  ASSERT_EQ(produce("refused", 1, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_EQ(produce("written", 2, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  serve_all();
  EXPECT_EQ(outcome_[1], ipc::Outcome::unknown);
  EXPECT_EQ(outcome_[2], ipc::Outcome::delivered);
  // From now on the broker knows the producer, and its numbers.
  broker_.fail_next_produce(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
  ASSERT_EQ(produce("refused", 3, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_EQ(produce("written", 4, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  serve_all();
  EXPECT_EQ(outcome_[3], ipc::Outcome::delivered);
  EXPECT_EQ(outcome_[4], ipc::Outcome::delivered);
}

TEST_F(InstanceTest, ManyTopicsAreDealtToSeveralProducersAndEachStaysWithItsOwn) {
  constexpr std::uint64_t kTopics = 300;  // with "orders": 125 for each of two, and the rest
  for (const int round : {0, 1}) {
    for (std::uint64_t n = 0; n < kTopics; ++n) {
      const std::string name = "many-" + std::to_string(n);
      if (round == 0) {
        broker_.create_topic(name);
      }
      topic_ = instance_->topic(name);
      ASSERT_NE(topic_, nullptr);
      ASSERT_EQ(produce("value", round * kTopics + n, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    EXPECT_EQ(instance_->producers(), 3U);
  }
  serve_all();
  EXPECT_EQ(delivered_.size(), 2 * kTopics);
  EXPECT_TRUE(purged_.empty());
}

/// `first_` is a topic of the first of two producers, `second_` of the other.
class TwoProducers : public InstanceTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(InstanceTest::SetUp());
    first_ = topic_;
    for (int n = 0; instance_->producers() == 1; ++n) {
      const std::string name = "more-" + std::to_string(n);
      broker_.create_topic(name);
      second_ = instance_->topic(name);
      ASSERT_NE(second_, nullptr);
    }
  }
  rd_kafka_resp_err_t produce_to(Topic* topic, std::uint64_t opaque) {
    topic_ = topic;
    return produce("value", opaque, now_ms());
  }
  void produce_to_both(std::uint64_t opaque_of_first, std::uint64_t opaque_of_second) {
    ASSERT_EQ(produce_to(first_, opaque_of_first), RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(produce_to(second_, opaque_of_second), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  Topic* first_ = nullptr;
  Topic* second_ = nullptr;
};

TEST_F(TwoProducers, APurgeTakesBackWhatEitherHas) {
  produce_to_both(1, 2);
  serve_all();
  broker_.answer_after(600'000);
  produce_to_both(3, 4);
  instance_->purge();
  serve_all();
  EXPECT_EQ(delivered_, (std::multiset<std::uint64_t>{1, 2}));
  EXPECT_EQ(purged_, (std::multiset<std::uint64_t>{3, 4}));
}

TEST_F(TwoProducers, APurgeThatDoesNotBlockTakesBackWhatEitherHas) {
  produce_to_both(1, 2);
  serve_all();
  broker_.answer_after(600'000);
  produce_to_both(3, 4);
  instance_->begin_purge(true);
  serve_all();
  EXPECT_EQ(purged_, (std::multiset<std::uint64_t>{3, 4}));
}

TEST_F(TwoProducers, AFatalErrorOfTheSecondEndsTheInstance) {
  produce_to_both(1, 2);
  serve_all();
  broker_.fail_next_produce(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  ASSERT_EQ(produce_to(second_, 3), RD_KAFKA_RESP_ERR_NO_ERROR);
  // It comes with the event, or with the next record for the second.
  while (!instance_->fatal()) {
    serve_when_there_is_something(10);
  }
  EXPECT_TRUE(instance_->ended());
  EXPECT_EQ(produce_to(second_, 4), RD_KAFKA_RESP_ERR__FATAL);
  instance_->purge();
  serve_all();
  EXPECT_EQ(delivered_, (std::multiset<std::uint64_t>{1, 2}));
  EXPECT_EQ(purged_, (std::multiset<std::uint64_t>{3}));
}

class TwoProducersThatLinger : public TwoProducers {
 protected:
  TwoProducersThatLinger() { linger_ = "200000"; }
};

TEST_F(TwoProducersThatLinger, AHurryLetsTheRecordsOfEitherGo) {
  produce_to_both(1, 2);
  for (int tries = 0; tries < 1000 && instance_->in_flight() != 0; ++tries) {
    instance_->hurry();
    serve_when_there_is_something(10);
  }
  EXPECT_EQ(delivered_, (std::multiset<std::uint64_t>{1, 2}));
}

TEST_F(InstanceTest, RecordsWithoutAKeyStayWithAPartitionForAWhile) {
  topic_ = instance_->topic("spread");
  partitions_at(0);  // librdkafka knows the partitions from now on
  std::set<std::int32_t> all;
  // Past the point where 32 bits of milliseconds begin again.
  std::int64_t ms = (std::int64_t{1} << 32) - 10 * kStickyMs;
  for (int n = 0; n < 40; ++n) {
    const std::set<std::int32_t> first = partitions_at(ms);
    EXPECT_EQ(first.size(), 1U);
    EXPECT_EQ(partitions_at(ms + kStickyMs - 1), first);
    all.insert(first.begin(), first.end());
    ms += kStickyMs;
  }
  EXPECT_GT(all.size(), 1U);
}

TEST_F(InstanceTest, ATopicThatRestedForWeeksChoosesAnotherPartitionAsOthersDo) {
  topic_ = instance_->topic("spread");
  partitions_at(0);
  int others = 0;
  for (std::int64_t n = 1; n <= 40; ++n) {
    const std::int64_t ms = n << 32;
    const std::set<std::int32_t> before = partitions_at(ms);
    // Modulo 2^32 the old choice lies ahead of this.
    others += partitions_at(ms + (std::int64_t{1} << 31) + 2 * kStickyMs) == before ? 0 : 1;
  }
  EXPECT_GT(others, 0);
}

TEST_F(InstanceTest, APartitionThatLostItsLeaderIsLeftBeforeItsTime) {
  topic_ = instance_->topic("spread");
  partitions_at(0);
  const std::int64_t ms = kStickyMs;
  const std::int32_t chosen = *partitions_at(ms).begin();
  broker_.set_leader(chosen, -1);
  partition_.clear();
  // What goes to it before librdkafka knows waits there, so only others are reported.
  for (std::uint64_t n = 0; partition_.empty(); ++n) {
    instance_->round_begins(ms + static_cast<std::int64_t>(n % 2));  // it changes, and stays
    ASSERT_EQ(produce("value", n, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
    serve_when_there_is_something(10);
  }
  EXPECT_NE(partition_.begin()->second, chosen);
  broker_.set_leader(chosen, 1);
  serve_all();
  EXPECT_TRUE(purged_.empty());
}

TEST_F(InstanceTest, KeysGoWhereJavaSendsThemAtAnyTime) {
  topic_ = instance_->topic("spread");
  std::int64_t ms = 0;
  for (const std::string& key : {std::string("a"), std::string("order 17"), std::string()}) {
    const std::int32_t expected = rd_kafka_msg_partitioner_murmur2(
        topic_->handle.get(), key.data(), key.size(), kPartitions, nullptr, nullptr);
    for (int n = 0; n < 3; ++n, ms += kStickyMs) {
      EXPECT_EQ(partitions_at(ms, &key), std::set<std::int32_t>{expected}) << key;
    }
  }
}

TEST(StickyPartitioner, IsForPartitionersThatSpreadNullKeysOnly) {
  for (const char* name : {"random", "consistent_random", "murmur2_random", "fnv1a_random"}) {
    EXPECT_NE(StickyPartitioner::create(name, 10), nullptr) << name;
    EXPECT_EQ(StickyPartitioner::create(name, 0), nullptr) << name;
  }
  for (const char* name : {"consistent", "murmur2", "fnv1a"}) {
    EXPECT_EQ(StickyPartitioner::create(name, 10), nullptr) << name;
  }
}

TEST_F(InstanceTest, AfterAFatalErrorNothingIsRefusedForItselfAndNothingStaysInFlight) {
  const std::string small = "small";
  const std::string large(kMostBytes, 'l');
  ASSERT_EQ(produce(small, 1, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  serve_all();
  ASSERT_EQ(delivered_.size(), 1U);
  broker_.fail_next_produce(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  ASSERT_EQ(produce(small, 2, now_ms()), RD_KAFKA_RESP_ERR_NO_ERROR);
  // No event is served: a record finds out. Until then it is refused for its size.
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
  while (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
    EXPECT_FALSE(instance_->fatal());
    error = produce(large, 3, now_ms());
  }
  EXPECT_EQ(error, RD_KAFKA_RESP_ERR__FATAL);
  EXPECT_TRUE(instance_->fatal());
  EXPECT_EQ(produce(small, 4, now_ms()), RD_KAFKA_RESP_ERR__FATAL);
  EXPECT_EQ(instance_->in_flight(), 1U) << "that of the failed request";
  instance_->purge();
  serve_all();
  EXPECT_EQ(purged_, (std::multiset<std::uint64_t>{2}));
  EXPECT_EQ(delivered_.size(), 1U);
}

}  // namespace
}  // namespace kfast::daemon::kafka
