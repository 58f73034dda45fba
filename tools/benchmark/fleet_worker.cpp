// A worker process of `fleet`: sends as fast as goes, or at its pace, when it is told to.
#include <sys/prctl.h>

#include <nlohmann/json.hpp>

#include "fleet.hpp"
#include "give_up.hpp"
#include "samples.hpp"
#include "topic_sender.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kReadEvery = 512;
constexpr std::uint64_t kReadPacedEvery = 16;

void flood(TopicSender& sender, std::uint64_t records) {
  for (std::uint64_t i = 0; i < records; ++i) {
    while (!sender.send(0)) {
      sender.read_reports();
      if (sender.send(0)) {
        break;
      }
      sender.wait();
    }
    if (i % kReadEvery == kReadEvery - 1) {
      sender.read_reports();
    }
  }
}

/// One record at a time, as a gateway's requests come. Without a sender it keeps the time only.
void pace(TopicSender* sender, std::uint64_t records, std::uint64_t rate, std::uint64_t number) {
  const std::uint64_t apart = 1'000'000'000U / rate;
  // Not all workers at once.
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC) + apart * number / kFleetWorkers;
  for (std::uint64_t i = 0; i < records; ++i) {
    sleep_until_ns(start + i * apart);
    if (sender == nullptr) {
      continue;
    }
    if (!sender->send(0)) {
      give_up("fleet: no room for a record at " + std::to_string(rate) + " a second");
    }
    if (i % kReadPacedEvery == kReadPacedEvery - 1) {
      sender->read_reports();
    }
  }
}

void send(TopicSender* sender, const nlohmann::json& task) {
  const std::uint64_t records = task.at("records");
  const std::uint64_t rate = task.at("rate");
  if (rate == 0) {
    flood(*sender, records);
  } else {
    pace(sender, records, rate, task.at("number"));
  }
}

}  // namespace

void work_in_fleet() {
  const nlohmann::json task = hear_parent();
  SenderSettings settings;
  settings.side = task.at("side");
  settings.topics = {task.at("topic").get<std::string>()};
  settings.value_bytes = kFleetValueBytes;
  settings.ring_bytes = task.at("ring_bytes");
  settings.brokers = task.at("brokers");
  const std::uint64_t warmup = task.at("warmup");
  std::unique_ptr<TopicSender> sender;
  if (settings.side != Side::none) {
    sender = make_topic_sender(settings);
    flood(*sender, warmup);
    sender->wait_reported(warmup);
  }
  // After the sender's threads were started, which would inherit it.
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  tell_parent("warm");
  static_cast<void>(hear_parent());
  send(sender.get(), task);
  if (sender) {
    sender->wait_reported(warmup + task.at("records").get<std::uint64_t>());
  }
  tell_parent("done");
  static_cast<void>(hear_parent());  // until the connections are counted
}

}  // namespace kfast::bench
