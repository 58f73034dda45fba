#include "kafka_settings.hpp"

#include <array>

#include "give_up.hpp"

namespace kfast::bench {
namespace {

constexpr auto kCommon = std::to_array<Setting>({
    {"acks", "all"},
    {"enable.idempotence", "true"},
    {"compression.codec", "lz4"},
    {"linger.ms", "5"},
    {"partitioner", "murmur2_random"},
    {"allow.auto.create.topics", "false"},
    {"socket.nagle.disable", "true"},
});

constexpr auto kInProcess = std::to_array<Setting>({
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "1048576"},
});

}  // namespace

std::span<const Setting> common_settings() {
  return kCommon;
}
std::span<const Setting> in_process_settings() {
  return kInProcess;
}

rd_kafka_conf_t* producer_conf(const std::string& brokers, const std::string& linger_ms) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 512> why{};
  const auto set = [&](const char* name, const char* value) {
    if (rd_kafka_conf_set(conf, name, value, why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      give_up(why.data());
    }
  };
  set("bootstrap.servers", brokers.c_str());
  for (const Setting& setting : kCommon) {
    set(setting.name, setting.value);
  }
  for (const Setting& setting : kInProcess) {
    set(setting.name, setting.value);
  }
  if (!linger_ms.empty()) {
    set("linger.ms", linger_ms.c_str());
  }
  return conf;
}

}  // namespace kfast::bench
