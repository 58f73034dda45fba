#include "kafka/broker_errors.hpp"

#include <algorithm>
#include <cstddef>

namespace kfast::daemon::kafka {
namespace {

/// Some texts hold a number that grows; they must not fill the memory. The log bounds their lines.
constexpr std::size_t kMostReasons = 64;

bool is_part(std::string_view one, std::string_view other) {
  return other.find(one) != std::string_view::npos;
}

}  // namespace

std::string_view reason_of(std::string_view text) {
  const std::size_t scheme = text.find("://");
  const std::size_t colon = text.find(": ");
  if (scheme != std::string_view::npos && colon != std::string_view::npos && scheme < colon &&
      text.find(' ') > colon) {
    text.remove_prefix(colon + 2);
  }
  const std::size_t after = text.rfind(" (after ");
  if (after != std::string_view::npos && text.ends_with(')')) {
    text = text.substr(0, after);
  }
  return text;
}

rd_kafka_resp_err_t login_error_of(rd_kafka_resp_err_t code, std::string_view text) {
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
      code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
    return code;
  }
  const bool alert = code == RD_KAFKA_RESP_ERR__TRANSPORT && is_part("SSL alert number", text);
  return alert ? RD_KAFKA_RESP_ERR__SSL : RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool BrokerErrors::note(rd_kafka_resp_err_t code, std::string_view text) {
  troubled_ = true;
  const std::string_view reason = reason_of(text);
  if (const auto login_error = login_error_of(code, text);
      login_error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    login_error_ = login_error;
    if (!is_part(reason, refusal_)) {
      refusal_ = text;
    }
  } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN &&
             login_error_ != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return false;
  }
  if (said_.size() >= kMostReasons) {
    said_.clear();
  }
  const bool known = std::any_of(said_.begin(), said_.end(), [&](const auto& each) {
    return each.first == code && (is_part(reason, each.second) || is_part(each.second, reason));
  });
  if (!known) {
    said_.emplace_back(code, reason);
  }
  return !known;
}

void BrokerErrors::over() {
  said_.clear();
  login_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  troubled_ = false;
}

}  // namespace kfast::daemon::kafka
