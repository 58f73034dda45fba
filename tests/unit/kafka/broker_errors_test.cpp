#include "kafka/broker_errors.hpp"

#include <gtest/gtest.h>

#include <string>

namespace kfast::daemon::kafka {
namespace {

constexpr auto kLogin = RD_KAFKA_RESP_ERR__AUTHENTICATION;
constexpr auto kTls = RD_KAFKA_RESP_ERR__SSL;
constexpr auto kTransport = RD_KAFKA_RESP_ERR__TRANSPORT;
constexpr auto kAllDown = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;

TEST(ReasonOf, LeavesOutTheBrokerAndHowLongItTook) {
  EXPECT_EQ(reason_of("sasl_ssl://k1:9093/bootstrap: SASL authentication error: no (after 302ms in "
                      "state AUTH_REQ)"),
            "SASL authentication error: no");
  EXPECT_EQ(reason_of("k1:9092/1: refused"), "k1:9092/1: refused");
  EXPECT_EQ(reason_of("see https://k1: no (after all) it"), "see https://k1: no (after all) it");
  EXPECT_EQ(reason_of("2/2 brokers are down"), "2/2 brokers are down");
  EXPECT_EQ(reason_of(""), "");
}

TEST(LoginErrorOf, ABrokersAlertIsARefusalAndALostConnectionIsNot) {
  constexpr auto kNone = RD_KAFKA_RESP_ERR_NO_ERROR;
  EXPECT_EQ(login_error_of(kLogin, "no"), kLogin);
  EXPECT_EQ(login_error_of(kTls, "no"), kTls);
  EXPECT_EQ(
      login_error_of(kTransport,
                     "ssl://k:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 "
                     "alert bad certificate: SSL alert number 42 (after 21ms in state "
                     "APIVERSION_QUERY)"),
      kTls);
  EXPECT_EQ(login_error_of(kTransport, "ssl://k:1/1: Disconnected (after 21ms in state UP)"),
            kNone);
  EXPECT_EQ(login_error_of(kAllDown, "1/1 brokers are down"), kNone);
}

TEST(BrokerErrors, OneReasonIsNewsOnceWhateverTheBrokerAndTheTime) {
  BrokerErrors errors;
  EXPECT_TRUE(errors.note(kLogin, "sasl_ssl://k1:1/bootstrap: no (after 3ms in state AUTH_REQ)"));
  EXPECT_FALSE(errors.note(kLogin,
                           "sasl_ssl://k1:1/bootstrap: no (after 4ms in state AUTH_REQ, 7 "
                           "identical error(s) suppressed)"));
  EXPECT_FALSE(errors.note(kLogin, "sasl_ssl://k2:1/2: no (after 3ms in state AUTH_REQ)"));
}

TEST(BrokerErrors, MoreWordsForTheSameAreNoNewsAndAreKept) {
  BrokerErrors errors;
  EXPECT_TRUE(errors.note(kTls, "ssl://k:1/1: verify failed"));
  EXPECT_FALSE(errors.note(kTls, "ssl://k:1/1: handshake: verify failed: see ssl.ca.location"));
  EXPECT_FALSE(errors.note(kTls, "ssl://k:1/1: verify failed"));
  EXPECT_EQ(errors.refusal(), "ssl://k:1/1: handshake: verify failed: see ssl.ca.location");
}

TEST(BrokerErrors, AnotherReasonIsNews) {
  BrokerErrors errors;
  EXPECT_TRUE(errors.note(kLogin, "ssl://k:1/1: no"));
  EXPECT_TRUE(errors.note(kLogin, "ssl://k:1/1: never"));
  EXPECT_TRUE(errors.note(kTransport, "ssl://k:1/1: no"));
  EXPECT_EQ(errors.refusal(), "ssl://k:1/1: never");
}

TEST(BrokerErrors, AfterADeliveryItIsNewsAgain) {
  BrokerErrors errors;
  EXPECT_FALSE(errors.troubled());
  EXPECT_TRUE(errors.note(kLogin, "no"));
  EXPECT_TRUE(errors.troubled());
  EXPECT_EQ(errors.login_error(), kLogin);
  errors.over();
  EXPECT_FALSE(errors.troubled());
  EXPECT_EQ(errors.login_error(), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_TRUE(errors.note(kLogin, "no"));
}

TEST(BrokerErrors, ANewPasswordIsLookedAtAgainAndTheOldErrorStandsUntilThen) {
  BrokerErrors errors;
  EXPECT_TRUE(errors.note(kLogin, "no"));
  errors.look_again();
  EXPECT_EQ(errors.login_error(), kLogin);
  EXPECT_TRUE(errors.note(kLogin, "no"));
}

TEST(BrokerErrors, BrokersThatAreDownBecauseTheyRefuseTheLoginAreNoNews) {
  BrokerErrors errors;
  EXPECT_TRUE(errors.note(kAllDown, "1/1 brokers are down"));
  errors.over();
  EXPECT_TRUE(errors.note(kTls, "no"));
  EXPECT_FALSE(errors.note(kAllDown, "1/1 brokers are down"));
}

TEST(BrokerErrors, ReasonsThatNeverEndDoNotFillTheMemory) {
  BrokerErrors errors;
  for (int n = 1000; n < 2000; ++n) {
    EXPECT_TRUE(errors.note(kTransport, std::to_string(n)));
  }
  EXPECT_TRUE(errors.note(kTransport, "1000"));
  EXPECT_FALSE(errors.note(kTransport, "1999"));
}

}  // namespace
}  // namespace kfast::daemon::kafka
