#include "config/kafka_conf.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "config/kafka_catalogue.hpp"
#include "config/kafka_properties.hpp"
#include "config/nearest.hpp"

namespace kfast::daemon::config {
namespace {

constexpr std::size_t error_size = 512;

// librdkafka quotes the value that it refuses, whole or in part.
std::string without_secret(const std::string& message, const Property& property) {
  return property.secret ? "its message is not shown, because it may quote the secret" : message;
}

std::string set(rd_kafka_conf_t* conf, const Property& property) {
  char error[error_size] = "";
  if (rd_kafka_conf_set(conf, property.name.c_str(), property.value.c_str(), error, sizeof error) ==
      RD_KAFKA_CONF_OK) {
    return "";
  }
  return without_secret(error, property);
}

// What one origin says, by canonical name, with the later origin winning.
struct Said {
  const Property* property;
  std::string_view canonical_name;
  std::string from;
};

std::vector<Said> merge(const std::vector<Property>& fallback, const Cluster& cluster,
                        const Profile& profile) {
  std::vector<Said> merged;
  const auto add = [&](const std::vector<Property>& properties, const std::string& from) {
    for (const Property& property : properties) {
      const std::string_view name = canonical(property.name);
      std::erase_if(merged, [&](const Said& said) { return said.canonical_name == name; });
      merged.push_back(Said{&property, name, from});
    }
  };
  add(fallback, "default");
  add(cluster.properties, "clusters." + cluster.name);
  add(profile.properties, "profiles." + profile.name);
  return merged;
}

const Said* find(const std::vector<Said>& merged, std::string_view canonical_name) {
  const auto found = std::find_if(merged.begin(), merged.end(), [&](const Said& said) {
    return said.canonical_name == canonical_name;
  });
  return found == merged.end() ? nullptr : &*found;
}

bool is_users(const Said* said) {
  return said != nullptr && said->from != "default";
}

std::int64_t number(const rd_kafka_conf_t* conf, std::string_view name) {
  return std::strtoll(get_property(conf, name).c_str(), nullptr, 10);
}

Where place(const Said* said, const Profile& profile) {
  return is_users(said) ? said->property->where : profile.where;
}

// The user's own setting that idempotence cannot go with, or null.
const Said* against_idempotence(const std::vector<Said>& merged, const rd_kafka_conf_t* conf) {
  const auto users = [&](std::string_view name) {
    const Said* said = find(merged, name);
    return is_users(said) ? said : nullptr;
  };
  constexpr std::int64_t most_in_flight = 5;
  if (const Said* acks = users("request.required.acks");
      acks != nullptr && number(conf, "request.required.acks") != -1) {
    return acks;
  }
  if (const Said* in_flight = users("max.in.flight.requests.per.connection");
      in_flight != nullptr &&
      number(conf, "max.in.flight.requests.per.connection") > most_in_flight) {
    return in_flight;
  }
  if (const Said* retries = users("message.send.max.retries");
      retries != nullptr && number(conf, "message.send.max.retries") == 0) {
    return retries;
  }
  if (const Said* strategy = users("queuing.strategy");
      strategy != nullptr && get_property(conf, "queuing.strategy") == "lifo") {
    return strategy;
  }
  return nullptr;
}

std::string quoted(const Said& said) {
  return "'" + said.property->name + " = " + said.property->shown() + "'";
}

// Switches idempotence off where the user's own settings contradict it, or says that they do.
void settle_idempotence(const std::vector<Said>& merged, const Profile& profile, ProducerConf& made,
                        std::vector<Problem>& errors) {
  rd_kafka_conf_t* conf = made.conf.get();
  const Said* idempotence = find(merged, "enable.idempotence");
  if (get_property(conf, "enable.idempotence") == "true") {
    if (const Said* against = against_idempotence(merged, conf)) {
      const std::string pair = quoted(*against) + " cannot go with enable.idempotence";
      if (is_users(idempotence)) {
        errors.push_back(Problem{place(against, profile),
                                 pair + " = true in profile '" + profile.name + "'",
                                 "take one of the two out"});
        return;
      }
      set(conf, Property{"enable.idempotence", "false", false, {}});
      for (Effective& effective : made.effective) {
        if (effective.name == "enable.idempotence") {
          effective.value = "false";
        }
      }
      made.warnings.push_back(
          Problem{place(against, profile),
                  pair + ", so idempotence is off for profile '" + profile.name + "'",
                  "take it out, or say \"enable.idempotence\" = false to make it plain"});
    }
  }
  made.idempotent = get_property(conf, "enable.idempotence") == "true";
}

void name_weakened(const std::vector<Said>& merged, const Profile& profile, ProducerConf& made) {
  const rd_kafka_conf_t* conf = made.conf.get();
  const PropertyReader get = [conf](std::string_view name) { return get_property(conf, name); };
  for (const Weakening& weakening : weakenings()) {
    if (!weakening.applies(get)) {
      continue;
    }
    const std::string_view name = canonical(weakening.name);
    const Said* said = find(merged, name);
    const std::string shown = is_users(said) ? said->property->name : std::string(weakening.name);
    made.warnings.push_back(Problem{place(said, profile),
                                    shown + " = " + get(name) + " of profile '" + profile.name +
                                        "' weakens the promise \"" + std::string(weakening.row) +
                                        "\": " + std::string(weakening.consequence),
                                    ""});
  }
}

void check_timeout(const std::vector<Said>& merged, const Profile& profile,
                   const ProducerConf& made, std::vector<Problem>& errors) {
  if (made.message_timeout_ms != 0 && made.message_timeout_ms <= made.linger_ms) {
    errors.push_back(
        Problem{place(find(merged, "message.timeout.ms"), profile),
                "message.timeout.ms = " + std::to_string(made.message_timeout_ms) +
                    " must be greater than linger.ms = " + std::to_string(made.linger_ms) +
                    " in profile '" + profile.name + "'",
                "raise the one or lower the other"});
  }
}

std::optional<Problem> check_scram(const Property& property) {
  if (canonical(property.name) != "sasl.mechanisms") {
    return std::nullopt;
  }
  const std::string broken = broken_mechanism(property.value, rd_kafka_version());
  if (broken.empty()) {
    return std::nullopt;
  }
  return Problem{property.where, "'" + property.name + " = " + property.value + "': " + broken,
                 "build kfastd with librdkafka 2.6.1 or newer (tools/setup does), or use another "
                 "mechanism"};
}

}  // namespace

std::string get_property(const rd_kafka_conf_t* conf, std::string_view name) {
  const std::string key(name);
  std::size_t size = 0;
  if (rd_kafka_conf_get(conf, key.c_str(), nullptr, &size) != RD_KAFKA_CONF_OK || size == 0) {
    return "";
  }
  std::string value(size, '\0');
  rd_kafka_conf_get(conf, key.c_str(), value.data(), &size);
  value.resize(size - 1);  // the size counts the terminating zero
  return value;
}

std::optional<Problem> check_property(const Property& property, bool in_profile) {
  const std::string why = reserved_reason(property.name);
  if (!why.empty()) {
    return Problem{property.where, "'" + property.name + "' is reserved: " + why, "take it out"};
  }
  const KnownProperty* known = find_known(property.name);
  if (known != nullptr && known->side == KnownProperty::Side::consumer) {
    return Problem{property.where,
                   "'" + property.name +
                       "' is a consumer's property: kfastd produces only, and a producer of "
                       "librdkafka's would not heed it",
                   "take it out"};
  }
  if (in_profile && canonical(property.name) == "metadata.broker.list") {
    return Problem{property.where, "'" + property.name + "' belongs to a cluster",
                   "say it in [clusters.NAME], and cluster = \"NAME\" in the profile"};
  }
  if (property.value.find('\0') != std::string::npos) {
    return Problem{property.where, "the value of '" + property.name + "' holds a zero byte",
                   "librdkafka takes text; for a binary key use its PEM form"};
  }
  if (auto scram = check_scram(property)) {
    return scram;
  }
  const KafkaConf scratch(rd_kafka_conf_new());
  char error[error_size] = "";
  switch (rd_kafka_conf_set(scratch.get(), property.name.c_str(), property.value.c_str(), error,
                            sizeof error)) {
    case RD_KAFKA_CONF_OK:
      return std::nullopt;
    case RD_KAFKA_CONF_UNKNOWN:
      return Problem{
          property.where,
          "librdkafka " + std::string(rd_kafka_version_str()) + " knows no property '" +
              property.name + "'",
          did_you_mean(property.name, known_property_names(), "see librdkafka's CONFIGURATION.md")};
    case RD_KAFKA_CONF_INVALID:
      break;
  }
  return Problem{property.where,
                 "librdkafka refuses '" + property.name + "': " + without_secret(error, property),
                 ""};
}

Result<ProducerConf, std::vector<Problem>> make_producer_conf(const Cluster& cluster,
                                                              const Profile& profile) {
  std::vector<Problem> errors;
  std::vector<Property> fallback;
  for (const KafkaDefault& row : kafka_defaults()) {
    fallback.push_back(Property{std::string(row.name), std::string(row.value), false, {}});
  }
  for (const auto* properties : {&cluster.properties, &profile.properties}) {
    for (const Property& property : *properties) {
      if (auto problem = check_property(property, properties == &profile.properties)) {
        errors.push_back(*std::move(problem));
      }
    }
  }
  if (!errors.empty()) {
    return Failure{std::move(errors)};
  }

  ProducerConf made;
  made.conf.reset(rd_kafka_conf_new());
  const std::vector<Said> merged = merge(fallback, cluster, profile);
  for (const Said& said : merged) {
    if (const std::string error = set(made.conf.get(), *said.property); !error.empty()) {
      errors.push_back(Problem{place(&said, profile), error, ""});
    }
    made.effective.push_back(Effective{said.property->name, said.property->shown(), said.from});
  }
  for (const KafkaDefault& row : kafka_fixed()) {
    const Property property{std::string(row.name), std::string(row.value), false, {}};
    if (const std::string error = set(made.conf.get(), property); !error.empty()) {
      errors.push_back(Problem{profile.where, error, ""});
    }
    made.effective.push_back(Effective{property.name, property.value, "fixed"});
  }

  made.message_timeout_ms = number(made.conf.get(), "message.timeout.ms");
  made.linger_ms = number(made.conf.get(), "queue.buffering.max.ms");
  made.message_max_bytes = number(made.conf.get(), "message.max.bytes");
  made.sticky_linger_ms = number(made.conf.get(), "sticky.partitioning.linger.ms");
  settle_idempotence(merged, profile, made, errors);
  check_timeout(merged, profile, made, errors);
  if (!errors.empty()) {
    return Failure{std::move(errors)};
  }
  name_weakened(merged, profile, made);
  return made;
}

std::string try_producer(const rd_kafka_conf_t* conf) {
  KafkaConf trial(rd_kafka_conf_dup(conf));
  char error[error_size] = "";
  // No brokers: nothing is dialled. No Kerberos ticket is fetched. Log lines are not the caller's.
  rd_kafka_conf_set(trial.get(), "bootstrap.servers", nullptr, error, sizeof error);
  rd_kafka_conf_set(trial.get(), "sasl.kerberos.min.time.before.relogin", "0", error, sizeof error);
  rd_kafka_conf_set_log_cb(trial.get(), [](const rd_kafka_t*, int, const char*, const char*) {});
  error[0] = '\0';
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, trial.get(), error, sizeof error);
  if (producer == nullptr) {
    return error;
  }
  (void)trial.release();  // rd_kafka_new took it
  rd_kafka_destroy(producer);
  return "";
}

}  // namespace kfast::daemon::config
