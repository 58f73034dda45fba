#include "measurement.hpp"

#include <nlohmann/json.hpp>

namespace kfast::bench {

const char* name_of(Variant variant) {
  switch (variant) {
    case Variant::send:
      return "kfast_send";
    case Variant::send_record:
      return "kfast_send_record";
    case Variant::send_batch:
      return "kfast_send_batch";
    case Variant::reserve:
      return "kfast_reserve";
    case Variant::produce:
      return "rd_kafka_produce";
    case Variant::produceva:
      return "rd_kafka_produceva";
    case Variant::produce_batch:
      return "rd_kafka_produce_batch";
    case Variant::ring:
      return "bare SPSC ring";
  }
  return "?";
}

void to_json(nlohmann::json& json, const Task& task) {
  json = {{"variant", static_cast<int>(task.variant)},
          {"name", name_of(task.variant)},
          {"value_bytes", task.value_bytes},
          {"keys", task.keys},
          {"headers", task.headers},
          {"made", task.made},
          {"rate", task.rate},
          {"records", task.records},
          {"warmup", task.warmup},
          {"brokers", task.brokers},
          {"topic", task.topic},
          {"ring_bytes", task.ring_bytes},
          {"daemon_pid", task.daemon_pid}};
}

void from_json(const nlohmann::json& json, Task& task) {
  task.variant = static_cast<Variant>(json.at("variant").get<int>());
  json.at("value_bytes").get_to(task.value_bytes);
  json.at("keys").get_to(task.keys);
  json.at("headers").get_to(task.headers);
  json.at("made").get_to(task.made);
  json.at("rate").get_to(task.rate);
  json.at("records").get_to(task.records);
  json.at("warmup").get_to(task.warmup);
  json.at("brokers").get_to(task.brokers);
  json.at("topic").get_to(task.topic);
  json.at("ring_bytes").get_to(task.ring_bytes);
  json.at("daemon_pid").get_to(task.daemon_pid);
}

void to_json(nlohmann::json& json, const Measurement& m) {
  json = {{"send_p50_ns", m.send_p50_ns},
          {"send_p99_ns", m.send_p99_ns},
          {"net_ns", m.net_ns},
          {"clock_ns", m.clock_ns},
          {"seconds", m.seconds},
          {"worker_cpu_us", m.worker_cpu_us},
          {"daemon_cpu_us", m.daemon_cpu_us},
          {"sent", m.sent},
          {"delivered", m.delivered},
          {"full", m.full}};
}

void from_json(const nlohmann::json& json, Measurement& m) {
  json.at("send_p50_ns").get_to(m.send_p50_ns);
  json.at("send_p99_ns").get_to(m.send_p99_ns);
  json.at("net_ns").get_to(m.net_ns);
  json.at("clock_ns").get_to(m.clock_ns);
  json.at("seconds").get_to(m.seconds);
  json.at("worker_cpu_us").get_to(m.worker_cpu_us);
  json.at("daemon_cpu_us").get_to(m.daemon_cpu_us);
  json.at("sent").get_to(m.sent);
  json.at("delivered").get_to(m.delivered);
  json.at("full").get_to(m.full);
}

}  // namespace kfast::bench
