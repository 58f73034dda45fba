#include "config/kafka_conf.hpp"

#include "config/kafka_catalogue.hpp"
#include "config/kafka_properties.hpp"
#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

ProducerConf made_with(std::vector<Property> properties) {
  const Cluster cluster{"main", {Property{"bootstrap.servers", "k1:9092"}}, {}};
  auto made = make_producer_conf(cluster, Profile{"p", "main", std::move(properties), {}});
  if (!made.ok()) {
    ADD_FAILURE() << to_text(made.error().front());
    std::abort();
  }
  return made.take();
}

std::string refused(std::vector<Property> properties) {
  const Cluster cluster{"main", {Property{"bootstrap.servers", "k1:9092"}}, {}};
  const auto made = make_producer_conf(cluster, Profile{"p", "main", std::move(properties), {}});
  std::string text;
  if (!made.ok()) {
    for (const Problem& problem : made.error()) {
      text += to_text(problem) + "\n";
    }
  }
  return text;
}

std::string warnings(const ProducerConf& made) {
  std::string text;
  for (const Problem& problem : made.warnings) {
    text += to_text(problem) + "\n";
  }
  return text;
}

TEST(ProducerConf, DefaultsAreOursAndWarnOfNothing) {
  const ProducerConf made = made_with({});
  const rd_kafka_conf_t* conf = made.conf.get();
  EXPECT_EQ(get_property(conf, "acks"), "-1");
  EXPECT_EQ(get_property(conf, "enable.idempotence"), "true");
  EXPECT_EQ(get_property(conf, "compression.codec"), "lz4");
  EXPECT_EQ(get_property(conf, "linger.ms"), "5");
  EXPECT_EQ(get_property(conf, "partitioner"), "murmur2_random");
  EXPECT_EQ(get_property(conf, "allow.auto.create.topics"), "false");
  EXPECT_EQ(get_property(conf, "queue.buffering.max.messages"), "2147483647");
  EXPECT_EQ(get_property(conf, "queue.buffering.max.kbytes"), "2147483647");
  EXPECT_EQ(get_property(conf, "bootstrap.servers"), "k1:9092");
  EXPECT_TRUE(made.idempotent);
  EXPECT_EQ(made.linger_ms, 5);
  EXPECT_EQ(made.message_timeout_ms, 300'000);
  EXPECT_EQ(made.message_max_bytes, 1'000'000);
  EXPECT_EQ(warnings(made), "");
  EXPECT_EQ(try_producer(conf), "");
}

TEST(ProducerConf, ProfileWinsOverClusterAndBothOverDefaultsByAnyAlias) {
  const Cluster cluster{"main",
                        {Property{"bootstrap.servers", "k1:9092"}, Property{"linger.ms", "50"},
                         Property{"client.id", "edge"}},
                        {}};
  const auto made = make_producer_conf(
      cluster, Profile{"p", "main", {Property{"queue.buffering.max.ms", "9"}}, {}});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->linger_ms, 9);
  EXPECT_EQ(get_property(made->conf.get(), "client.id"), "edge");
}

TEST(ProducerConf, IdempotenceGoesOffWithAWarningWhereAcksContradictIt) {
  const ProducerConf made = made_with({Property{"acks", "1"}});
  EXPECT_FALSE(made.idempotent);
  EXPECT_EQ(get_property(made.conf.get(), "enable.idempotence"), "false");
  EXPECT_TRUE(has(warnings(made),
                  "'acks = 1' cannot go with enable.idempotence, so idempotence "
                  "is off for profile 'p'"));
  EXPECT_TRUE(has(warnings(made), "acks = 1 of profile 'p' weakens the promise \"the brokers"));
  EXPECT_EQ(try_producer(made.conf.get()), "");
}

TEST(ProducerConf, IdempotenceGoesOffForManyRequestsInFlightToo) {
  const ProducerConf made = made_with({Property{"max.in.flight", "6"}});
  EXPECT_FALSE(made.idempotent);
  EXPECT_TRUE(has(warnings(made), "a retried request can land behind a later one"));
  EXPECT_TRUE(made_with({Property{"max.in.flight", "5"}}).idempotent);
}

TEST(ProducerConf, ContradictionThatTheUserWroteIsAnError) {
  EXPECT_TRUE(has(refused({Property{"enable.idempotence", "true"}, Property{"acks", "0"}}),
                  "'acks = 0' cannot go with enable.idempotence = true in profile 'p'"));
}

TEST(ProducerConf, EverySettledConfigurationIsOneThatLibrdkafkaTakes) {
  for (const auto& property :
       {Property{"acks", "0"}, Property{"retries", "0"}, Property{"queuing.strategy", "lifo"},
        Property{"max.in.flight", "1000"}, Property{"enable.idempotence", "false"}}) {
    const ProducerConf made = made_with({property});
    EXPECT_FALSE(made.idempotent) << property.name;
    EXPECT_EQ(try_producer(made.conf.get()), "") << property.name;
  }
}

TEST(ProducerConf, EachWeakenedPromiseIsNamed) {
  const auto warned = [](const char* name, const char* value) {
    return warnings(made_with({Property{name, value}}));
  };
  EXPECT_TRUE(has(warned("enable.idempotence", "false"), "a second time"));
  EXPECT_TRUE(has(warned("delivery.timeout.ms", "1000"), "delivery.timeout.ms = 1000"));
  EXPECT_TRUE(has(warned("retries", "1"), "fails at the first error"));
  EXPECT_TRUE(has(warned("partitioner", "random"), "one key go to any partition"));
  EXPECT_TRUE(has(warned("allow.auto.create.topics", "true"), "no such topic"));
  EXPECT_TRUE(has(warned("queuing.strategy", "lifo"), "the last record goes out first"));
  EXPECT_TRUE(has(warned("enable.ssl.certificate.verification", "false"), "can be the broker"));
  EXPECT_TRUE(has(warned("message.timeout.ms", "0"), "holds its ring for ever"));
  EXPECT_EQ(warned("message.timeout.ms", "30000"), "");
  EXPECT_TRUE(has(warned("ssl.endpoint.identification.algorithm", "none"), "the same authority"));
}

TEST(ProducerConf, TimeoutBelowLingerIsAnError) {
  EXPECT_TRUE(has(refused({Property{"message.timeout.ms", "5"}}),
                  "message.timeout.ms = 5 must be greater than linger.ms = 5"));
}

TEST(ProducerConf, ConsumerPropertiesAreRefused) {
  EXPECT_TRUE(has(refused({Property{"fetch.min.bytes", "5"}}),
                  "'fetch.min.bytes' is a consumer's property: kfastd produces only"));
}

TEST(ProducerConf, TrialFindsWhatLibrdkafkaChecksLate) {
  const ProducerConf made = made_with(
      {Property{"security.protocol", "ssl"}, Property{"ssl.ca.location", "/nonexistent/ca.pem"}});
  EXPECT_TRUE(has(try_producer(made.conf.get()), "ssl.ca.location"));
}

TEST(Properties, ReservedOnesSayWhyInClustersAndProfiles) {
  const std::string errors = errors_of(file_with("\"transactional.id\" = \"t\"\n",
                                                 "\"delivery.report.only.error\" = true\n"
                                                 "\"enable.auto.commit\" = true\n"
                                                 "\"queue.buffering.max.messages\" = 5\n"));
  EXPECT_TRUE(has(errors, "'transactional.id' is reserved: workers share a producer"));
  EXPECT_TRUE(has(errors, "'delivery.report.only.error' is reserved: a ring is emptied"));
  EXPECT_TRUE(has(errors, "'enable.auto.commit' is reserved: kfastd commits"));
  EXPECT_TRUE(has(errors, "'queue.buffering.max.messages' is reserved: kfastd bounds"));
}

TEST(Properties, CallbacksCannotComeFromAFile) {
  for (const KnownProperty& known : known_properties()) {
    if (known.pointer) {
      EXPECT_NE(reserved_reason(known.name), "") << known.name;
    }
  }
  EXPECT_TRUE(has(errors_of(file_with("", "\"dr_msg_cb\" = \"f\"\n")), "it is a callback"));
  EXPECT_TRUE(has(errors_of(file_with("\"test.mock.num.brokers\" = 3\n", "")), "kfastd --dev"));
}

TEST(Properties, OurDefaultsAndFixedValuesAreKnownToLibrdkafka) {
  for (const auto& table : {kafka_defaults(), kafka_fixed()}) {
    for (const KafkaDefault& row : table) {
      const KafkaConf conf(rd_kafka_conf_new());
      char error[256] = "";
      EXPECT_EQ(rd_kafka_conf_set(conf.get(), std::string(row.name).c_str(),
                                  std::string(row.value).c_str(), error, sizeof error),
                RD_KAFKA_CONF_OK)
          << error;
    }
  }
}

TEST(Properties, BadValueCarriesLibrdkafkasMessage) {
  const std::string errors = errors_of(file_with("", "\"linger.ms\" = 99999999\n"));
  EXPECT_TRUE(has(errors, "kfastd.toml:5:1: librdkafka refuses 'linger.ms'"));
  EXPECT_TRUE(has(errors, "0..900000"));
}

TEST(Properties, UnknownOneNamesTheNearest) {
  EXPECT_TRUE(has(errors_of(file_with("", "\"linger.msec\" = 5\n")), "did you mean 'linger.ms'?"));
  EXPECT_TRUE(has(errors_of(file_with("", "compresion.type = \"lz4\"\n")),
                  "did you mean 'compression.type'?"));
}

TEST(Properties, SayingOneTwiceIsAnErrorByAliasToo) {
  EXPECT_TRUE(has(errors_of(file_with("", "acks = 1\n\"request.required.acks\" = 1\n")),
                  "'acks' and 'request.required.acks' are the same property"));
  EXPECT_TRUE(has(errors_of(file_with("", "\"linger.ms\" = 5\nlinger.ms = 5\n")), "said twice"));
}

TEST(Properties, ListsAndDatesSayHowToWriteThem) {
  EXPECT_TRUE(has(errors_of(file_with("\"debug\" = [\"all\"]\n", "")), "join a list with commas"));
  EXPECT_TRUE(has(errors_of(file_with("\"client.id\" = 1979-05-27\n", "")), "put it in quotes"));
  EXPECT_TRUE(has(errors_of(file_with("\"client.id\" = \"a\\u0000b\"\n", "")), "a zero byte"));
}

TEST(Scram, IsRefusedWithALibrdkafkaThatCannotLogInWithIt) {
  EXPECT_TRUE(has(broken_mechanism("SCRAM-SHA-256", 0x020002ff), "librdkafka 2.0.2 cannot log in"));
  EXPECT_NE(broken_mechanism("SCRAM-SHA-512", 0x020600ff), "");
  EXPECT_EQ(broken_mechanism("SCRAM-SHA-512", 0x020601ff), "");
  EXPECT_EQ(broken_mechanism("SCRAM-SHA-512", 0x020800ff), "");
  EXPECT_EQ(broken_mechanism("PLAIN", 0x020002ff), "");
}

TEST(Scram, IsTakenOrRefusedByTheLibrdkafkaThatRuns) {
  const std::string expected = broken_mechanism("SCRAM-SHA-256", rd_kafka_version());
  const auto problem = check_property(Property{"sasl.mechanism", "SCRAM-SHA-256"}, false);
  EXPECT_EQ(problem.has_value(), !expected.empty());
  if (problem) {
    EXPECT_TRUE(has(to_text(*problem), "2.6.1"));
  }
}

}  // namespace
}  // namespace kfast::daemon::config
