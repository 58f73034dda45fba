#include "config/kafka_properties.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "config/kafka_catalogue.hpp"

namespace kfast::daemon::config {
namespace {

constexpr auto defaults = std::to_array<KafkaDefault>({
    {"client.id", "kfastd", "names the daemon in the brokers' logs and quotas"},
    {"acks", "all", "a report says delivered only when every in-sync replica has the record"},
    {"enable.idempotence", "true", "no duplicates and no reordering by retries"},
    {"compression.codec", "lz4", "the least CPU for a good ratio"},
    {"linger.ms", "5", "batches; less wakes brokers and daemon more often"},
    {"partitioner", "murmur2_random", "Java's: a mixed fleet keeps a key on one partition"},
    {"allow.auto.create.topics", "false", "a misspelt topic is an error, not a new topic"},
    {"socket.nagle.disable", "true", "requests leave at once"},
    {"log.connection.close", "false", "brokers close idle connections; that is no news"},
    {"statistics.interval.ms", "0",
     "an idle host wakes for nothing; more than 0 feeds `kfastctl brokers`"},
});

constexpr auto fixed = std::to_array<KafkaDefault>({
    {"queue.buffering.max.messages", "2147483647",
     "kfastd bounds what is in flight by its own budgets per channel and topic"},
    {"queue.buffering.max.kbytes", "2147483647",
     "kfastd bounds what is in flight by its own budgets per channel and topic"},
});

constexpr std::string_view own_budgets =
    "kfastd bounds what is in flight by channel and topic; one shared queue limit would let one "
    "topic stop all others";
constexpr std::string_view own_commits = "kfastd commits an offset only after the worker's ack";
constexpr std::string_view no_transactions =
    "workers share a producer instance, and a transaction would join their records";
constexpr std::string_view no_mock = "an embedded broker keeps nothing; use kfastd --dev for one";

constexpr auto reserved = std::to_array<Reserved>({
    {"queue.buffering.max.messages", own_budgets},
    {"queue.buffering.max.kbytes", own_budgets},
    {"delivery.report.only.error",
     "a ring is emptied by delivery reports; a worker chooses the reports that it wants when it "
     "opens its producer"},
    {"produce.offset.report", "every report carries its offset"},
    {"transactional.id", no_transactions},
    {"transaction.timeout.ms", no_transactions},
    {"enable.gapless.guarantee",
     "one undeliverable record would stop every worker of the profile; kfastd reports it failed "
     "and goes on"},
    {"group.id", "the worker names the group when it opens its consumer"},
    {"group.instance.id", "kfastd derives it from host, cluster, group and profile"},
    {"enable.auto.commit", own_commits},
    {"auto.commit.enable", own_commits},
    {"auto.commit.interval.ms", own_commits},
    {"enable.auto.offset.store", own_commits},
    {"offset.store.method", own_commits},
    {"offset.store.path", own_commits},
    {"offset.store.sync.interval.ms", own_commits},
    {"enable.partition.eof", "kfastd decides what its workers see of a partition's end"},
    {"enabled_events", "kfastd decides which events it handles"},
    {"log.queue", "kfastd writes librdkafka's log lines into its own log"},
    {"internal.termination.signal", "kfastd owns its signals"},
    {"plugin.library.paths", "kfastd loads no foreign code into the process that serves everybody"},
    {"builtin.features", "it says what librdkafka was built with"},
    {"test.*", no_mock},
});

bool is_number_below(const std::string& text, long long bound) {
  char* end = nullptr;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  return end != text.c_str() && *end == '\0' && number < bound;
}

bool idempotent(const PropertyReader& get) {
  return get("enable.idempotence") == "true";
}

constexpr std::string_view brokers_away =
    "the brokers are away for less than the delivery timeout: delivered, in order per key";
constexpr std::string_view order =
    "records of one producer to one partition appear in the order they were sent";
constexpr std::string_view duplicates = "duplicates are possible only after a restart or a fault";
constexpr std::string_view undeliverable =
    "the record can never be delivered (no such topic): reported failed";
constexpr std::string_view in_the_end =
    "the delivery timeout passes while a request is out: reported unknown";
constexpr std::string_view trust = "records go to the brokers of the cluster and to nobody else";

constexpr long long election_ms = 30'000;
constexpr std::string_view no_retry = "a record fails at the first error of a broker";

constexpr auto weakened = std::to_array<Weakening>({
    {"acks", "not all",
     [](const PropertyReader& get) { return get("request.required.acks") != "-1"; }, brokers_away,
     "a record that was reported delivered is lost with the broker that took it"},
    {"enable.idempotence", "false", [](const PropertyReader& get) { return !idempotent(get); },
     duplicates, "a retry after a lost answer writes the record a second time"},
    {"max.in.flight.requests.per.connection", "more than 1, with idempotence off",
     [](const PropertyReader& get) {
       return !idempotent(get) && !is_number_below(get("max.in.flight.requests.per.connection"), 2);
     },
     order, "a retried request can land behind a later one"},
    {"message.timeout.ms", "less than 30000, but not 0",
     [](const PropertyReader& get) {
       const std::string timeout = get("message.timeout.ms");
       return timeout != "0" && is_number_below(timeout, election_ms);
     },
     brokers_away, "a broker's restart or a leader election can take longer than the timeout"},
    {"message.timeout.ms", "0",
     [](const PropertyReader& get) { return get("message.timeout.ms") == "0"; }, in_the_end,
     "a record that no broker takes never has an outcome, and holds its ring for ever"},
    {"message.send.max.retries", "less than 5",
     [](const PropertyReader& get) { return is_number_below(get("message.send.max.retries"), 5); },
     brokers_away, no_retry},
    {"queuing.strategy", "lifo",
     [](const PropertyReader& get) { return get("queuing.strategy") == "lifo"; }, order,
     "the last record goes out first"},
    {"partitioner", "random",
     [](const PropertyReader& get) { return get("partitioner") == "random"; }, brokers_away,
     "records of one key go to any partition, so they have no order"},
    {"allow.auto.create.topics", "true",
     [](const PropertyReader& get) { return get("allow.auto.create.topics") == "true"; },
     undeliverable, "a misspelt topic is created, and its records are delivered to it"},
    {"enable.ssl.certificate.verification", "false",
     [](const PropertyReader& get) {
       return get("enable.ssl.certificate.verification") == "false";
     },
     trust, "anybody on the way can be the broker"},
    {"ssl.endpoint.identification.algorithm", "none",
     [](const PropertyReader& get) {
       return get("ssl.endpoint.identification.algorithm") == "none";
     },
     trust, "whoever has a certificate of the same authority can be the broker"},
});

}  // namespace

std::span<const KafkaDefault> kafka_defaults() {
  return defaults;
}

std::span<const KafkaDefault> kafka_fixed() {
  return fixed;
}

std::span<const Reserved> reserved_properties() {
  return reserved;
}

std::span<const Weakening> weakenings() {
  return weakened;
}

std::string reserved_reason(std::string_view name) {
  const std::string_view canonical_name = canonical(name);
  for (const Reserved& row : reserved) {
    const bool prefix = row.name.ends_with('*');
    const std::string_view stem = row.name.substr(0, row.name.size() - (prefix ? 1 : 0));
    if (prefix ? canonical_name.starts_with(stem) : (canonical_name == stem || name == stem)) {
      return std::string(row.why);
    }
  }
  const KnownProperty* known = find_known(name);
  if (known != nullptr && known->pointer) {
    return "it is a callback or an object of the program, not a value";
  }
  return "";
}

bool is_secret(std::string_view name) {
  static constexpr auto marks = std::to_array<std::string_view>(
      {"password", "secret", "key.pem", "oauthbearer.config", "oauthbearer.extensions", "token",
       "assertion", "kinit.cmd"});
  return std::any_of(marks.begin(), marks.end(), [&](std::string_view mark) {
    return name.find(mark) != std::string_view::npos;
  });
}

std::string broken_mechanism(std::string_view mechanism, int librdkafka_version) {
  // 0xMMmmrrpp: the last byte is the pre-release.
  constexpr unsigned first_good = 0x020601;
  const unsigned version = static_cast<unsigned>(librdkafka_version) >> 8;
  if (!mechanism.starts_with("SCRAM-") || version >= first_good) {
    return "";
  }
  const std::string shown = std::to_string(version >> 16) + "." +
                            std::to_string((version >> 8) & 0xff) + "." +
                            std::to_string(version & 0xff);
  return "librdkafka " + shown +
         " cannot log in with SASL/SCRAM to Kafka 3.7.2 and newer: the broker answers "
         "'invalid credentials' to the right password";
}

}  // namespace kfast::daemon::config
