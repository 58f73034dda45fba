// A worker process of `fleet`: sends as fast as goes, when it is told to.
#include <nlohmann/json.hpp>

#include "fleet.hpp"
#include "topic_sender.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kReadEvery = 512;

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

}  // namespace

void work_in_fleet() {
  const nlohmann::json task = hear_parent();
  SenderSettings settings;
  settings.side = task.at("side");
  settings.topics = {task.at("topic").get<std::string>()};
  settings.value_bytes = kFleetValueBytes;
  settings.ring_bytes = task.at("ring_bytes");
  settings.brokers = task.at("brokers");
  const std::unique_ptr<TopicSender> sender = make_topic_sender(settings);
  const std::uint64_t warmup = task.at("warmup");
  const std::uint64_t records = task.at("records");
  flood(*sender, warmup);
  sender->wait_reported(warmup);
  tell_parent("warm");
  static_cast<void>(hear_parent());
  flood(*sender, records);
  sender->wait_reported(warmup + records);
  tell_parent("done");
  static_cast<void>(hear_parent());  // until the connections are counted
}

}  // namespace kfast::bench
