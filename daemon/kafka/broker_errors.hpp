// What brokers, or librdkafka for them, complained of since the last delivery: each reason once.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kfast::daemon::kafka {

/// An error event's text without what differs from one try to the next: the broker's name before it
/// ("sasl_ssl://k1:9093/1: ") and how long it took and how often after it (" (after 5ms in state
/// …)"). The broker's name counts as such only where librdkafka's form is kept.
[[nodiscard]] std::string_view reason_of(std::string_view text);

/// _AUTHENTICATION or _SSL where the error says that a login or a TLS handshake was refused, by
/// either side, CLUSTER_AUTHORIZATION_FAILED where our user may write no topic at all, else no
/// error. A broker that does not take our certificate says so after the handshake, which librdkafka
/// calls _TRANSPORT.
[[nodiscard]] rd_kafka_resp_err_t login_error_of(rd_kafka_resp_err_t code, std::string_view text);

/// librdkafka tries a login, and all else, again and again for ever. Used by one thread.
class BrokerErrors {
 public:
  /// Whether this is news: a reason that was not said since the last delivery, neither in more
  /// words nor in fewer (librdkafka has two sentences for one certificate), and not the mere
  /// consequence of a refused login.
  [[nodiscard]] bool note(rd_kafka_resp_err_t code, std::string_view text);

  /// A record was delivered: what comes from now on is news again.
  void over();

  /// What was refused may be right now: it is news if it is not. The login error stays, for records
  /// that time out before the next try.
  void look_again() { said_.clear(); }

  /// True from the first error until the next delivery.
  [[nodiscard]] bool troubled() const noexcept { return troubled_; }

  /// Why brokers refuse us, as login_error_of() says it, or no error.
  [[nodiscard]] rd_kafka_resp_err_t login_error() const noexcept { return login_error_; }

  /// The last words of a refused login; they outlive a delivery.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

 private:
  std::vector<std::pair<rd_kafka_resp_err_t, std::string>> said_;
  rd_kafka_resp_err_t login_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string refusal_;
  bool troubled_ = false;
};

}  // namespace kfast::daemon::kafka
