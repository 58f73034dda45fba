#include "kafka/broker_statistics.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace kfast::daemon::kafka {
namespace {

using telemetry::BrokerCounter;

struct Field {
  std::string_view window;  // empty: the broker's own
  std::string_view name;
  BrokerCounter counter;
};

constexpr Field kFields[] = {
    {"rtt", "p50", BrokerCounter::rtt_p50},
    {"rtt", "p99", BrokerCounter::rtt_p99},
    {"int_latency", "p99", BrokerCounter::int_latency_p99},
    {"outbuf_latency", "p99", BrokerCounter::outbuf_latency_p99},
    {"throttle", "avg", BrokerCounter::throttle_avg},
    {"", "outbuf_cnt", BrokerCounter::requests_queued},
    {"", "waitresp_cnt", BrokerCounter::requests_waiting},
    {"", "txbytes", BrokerCounter::tx_bytes},
    {"", "rxbytes", BrokerCounter::rx_bytes},
    {"", "txerrs", BrokerCounter::tx_errors},
    {"", "txretries", BrokerCounter::tx_retries},
    {"", "req_timeouts", BrokerCounter::request_timeouts},
    {"", "connects", BrokerCounter::connects},
    {"", "disconnects", BrokerCounter::disconnects},
};

constexpr std::size_t at(BrokerCounter counter) {
  return static_cast<std::size_t>(counter);
}

/// Events of the parser, with the names of the objects that it is in. Makes no document: one has
/// about a kilobyte for each partition, and this runs between the rounds of the shard.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<BrokerFigures> brokers;
  bool complete = false;

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool number_integer(number_integer_t value) override {
    return number(value < 0 ? 0 : static_cast<std::uint64_t>(value));
  }
  bool number_unsigned(number_unsigned_t value) override { return number(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    // Below 2^63, so that the conversion is defined.
    return number(value > 0 && value < 9.2e18 ? static_cast<std::uint64_t>(value) : 0);
  }
  bool string(string_t& value) override {
    if (in_broker() && path_.size() == 3) {
      if (path_[2] == "state") {
        broker_.state = value;
      } else if (path_[2] == "source") {
        shown_ = value != "internal" && value != "logical";
      }
    }
    return true;
  }
  bool start_object(std::size_t /*elements*/) override {
    path_.emplace_back();
    if (in_broker() && path_.size() == 3) {
      broker_ = BrokerFigures{path_[1], "", {}};
      shown_ = true;
    }
    return true;
  }
  bool key(string_t& name) override {
    path_.back() = name;
    return true;
  }
  bool end_object() override {
    if (in_broker() && path_.size() == 3 && shown_) {
      broker_.values[at(BrokerCounter::up)] = broker_.state == "UP" ? 1 : 0;
      brokers.push_back(std::move(broker_));
    }
    // False ends the parser: what follows is not read.
    complete = complete || path_.size() == 1 || (path_.size() == 2 && path_[0] == "brokers");
    path_.pop_back();
    return !complete;
  }
  bool start_array(std::size_t /*elements*/) override {
    path_.emplace_back();
    return true;
  }
  bool end_array() override {
    path_.pop_back();
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  [[nodiscard]] bool in_broker() const { return path_.size() >= 3 && path_[0] == "brokers"; }

  bool number(std::uint64_t value) {
    if (!in_broker() || path_.size() > 4) {
      return true;
    }
    const std::string_view window = path_.size() == 4 ? path_[2] : std::string_view();
    for (const Field& field : kFields) {
      if (field.window == window && field.name == path_.back()) {
        broker_.values[at(field.counter)] = value;
      }
    }
    return true;
  }

  std::vector<std::string> path_;  // the key in each object around, the innermost last
  BrokerFigures broker_;
  bool shown_ = true;
};

}  // namespace

std::optional<std::vector<BrokerFigures>> brokers_in(std::string_view statistics) {
  Reader reader;
  static_cast<void>(nlohmann::json::sax_parse(statistics, &reader));
  if (!reader.complete) {
    return std::nullopt;
  }
  return std::move(reader.brokers);
}

void add(BrokerFigures& to, const BrokerFigures& other) {
  for (const Field& field : kFields) {
    std::uint64_t& value = to.values[at(field.counter)];
    const std::uint64_t more = other.values[at(field.counter)];
    value = field.window.empty() ? value + more : std::max(value, more);
  }
  std::uint64_t& up = to.values[at(BrokerCounter::up)];
  if (other.values[at(BrokerCounter::up)] < up) {
    up = 0;
    to.state = other.state;
  }
}

bool BrokerStatistics::show(std::size_t producer, std::string_view statistics) {
  auto brokers = brokers_in(statistics);
  if (!brokers) {
    return false;
  }
  latest_[producer] = std::move(*brokers);
  std::map<std::string_view, BrokerFigures> all;
  for (const auto& [each, figures] : latest_) {
    for (const BrokerFigures& broker : figures) {
      const auto [found, is_new] = all.try_emplace(broker.name, broker);
      if (!is_new) {
        add(found->second, broker);
      }
    }
  }
  for (const auto& [name, broker] : all) {
    auto found = shown_.find(broker.name);
    if (found == shown_.end()) {
      found =
          shown_
              .emplace(broker.name,
                       Shown{segment_.broker_block(cluster_, profile_, broker.name), std::string()})
              .first;
    }
    Shown& shown = found->second;
    for (std::size_t value = 0; value < broker.values.size(); ++value) {
      shown.block.set(static_cast<BrokerCounter>(value), broker.values[value]);
    }
    if (shown.state != broker.state) {
      shown.state = broker.state;
      shown.block.set_note("state", broker.state);
    }
  }
  std::erase_if(shown_, [&](const auto& entry) { return !all.contains(entry.first); });
  return true;
}

}  // namespace kfast::daemon::kafka
