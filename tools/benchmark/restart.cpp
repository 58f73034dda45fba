#include "restart.hpp"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "channel.hpp"
#include "kafka_settings.hpp"
#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr const char* kRingBytes = "16m";
constexpr std::uint32_t kValueBytes = 100;
constexpr int kStuckMs = 60'000;
/// How long kfastd is dead: more than filling the ring takes, so that the worker's tries to connect
/// are as far apart in both cases.
constexpr std::uint64_t kAwayNs = 50'000'000;
/// The tries are in the times, too, and make them differ a lot.
constexpr int kRestartsOfRun = 5;
/// "The same" on a machine whose times differ by as much from run to run.
constexpr double kSame = 1.1;

double ms_since(std::uint64_t start_ns) {
  return static_cast<double>(now_ns(CLOCK_MONOTONIC) - start_ns) / 1e6;
}

/// The worker sends while kfastd is dead: one record, or until its ring is full.
double one_restart(DaemonProcess& daemon, Channel& channel, bool fill) {
  channel.settle();
  const std::uint64_t reported = channel.reported();
  const std::uint64_t killed = now_ns(CLOCK_MONOTONIC);
  daemon.kill();
  while (channel.send() && fill) {
  }
  while (now_ns(CLOCK_MONOTONIC) < killed + kAwayNs) {
    channel.read_reports();
  }
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  daemon.start();
  channel.wait_reported(reported + 1);
  const double took = ms_since(start);
  channel.settle();
  return took;
}

/// A producer of librdkafka's, from nothing to its first delivery.
double librdkafka_start(const std::string& brokers, const std::string& topic) {
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  char why[512];
  bool delivered = false;
  rd_kafka_conf_t* conf = producer_conf(brokers);
  rd_kafka_conf_set_opaque(conf, &delivered);
  rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* done) {
    *static_cast<bool*>(done) = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
  });
  rd_kafka_t* rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (rk == nullptr) {
    give_up(why);
  }
  const std::string value(kValueBytes, 'v');
  if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic.c_str()),
                        RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                        RD_KAFKA_V_END) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    give_up("librdkafka did not take a record");
  }
  while (!delivered && rd_kafka_poll(rk, kStuckMs) > 0) {
  }
  const double took = ms_since(start);
  rd_kafka_destroy(rk);
  if (!delivered) {
    give_up("librdkafka did not deliver a record");
  }
  return took;
}

double full_to_empty(const std::vector<Restart>& restarts) {
  return median_of(restarts, &Restart::full_ms) / median_of(restarts, &Restart::empty_ms);
}

}  // namespace

std::vector<Goal> goals_of(const std::vector<Restart>& restarts) {
  return {{"a restart with a full ring to the first delivery, to one record's",
           Goal::Bound::at_most, kSame, full_to_empty(restarts), " times", "P10"}};
}

void to_json(nlohmann::json& json, const Restart& restart) {
  json = {{"empty_ms", restart.empty_ms},
          {"full_ms", restart.full_ms},
          {"librdkafka_ms", restart.librdkafka_ms}};
}

std::vector<Restart> measure_restarts(DaemonProcess& daemon, const std::string& brokers, int runs,
                                      KafkaAdmin& admin) {
  const std::string topic = "kfast-bench-restart-" + std::to_string(::getpid());
  admin.create_topic(topic);
  std::vector<Restart> restarts;
  {
    Channel channel(topic, kRingBytes, kValueBytes);
    channel.send();
    for (int i = 0; i < runs * kRestartsOfRun; ++i) {
      Restart restart;
      restart.empty_ms = one_restart(daemon, channel, false);
      restart.full_ms = one_restart(daemon, channel, true);
      restart.librdkafka_ms = librdkafka_start(brokers, topic);
      restarts.push_back(restart);
    }
    const std::uint64_t wanted = channel.sent() + restarts.size();
    const std::uint64_t counted = admin.record_count(topic);
    if (counted < wanted) {
      give_up("restart: " + std::to_string(wanted) + " sent, " + std::to_string(counted) +
              " in Kafka");
    }
  }
  admin.delete_topic(topic);
  return restarts;
}

void print_restarts(const std::vector<Restart>& restarts) {
  std::printf(
      "\nA restart: kfastd is killed and started again. From its start to the first report that "
      "its worker reads, medians of %zu:\n%.0f ms with one record in the ring, %.0f ms with a full "
      "ring (%s), %.2f times as long. librdkafka alone, from\nnothing to its first delivery: %.0f "
      "ms.\n",
      restarts.size(), median_of(restarts, &Restart::empty_ms),
      median_of(restarts, &Restart::full_ms), kRingBytes, full_to_empty(restarts),
      median_of(restarts, &Restart::librdkafka_ms));
}

}  // namespace kfast::bench
