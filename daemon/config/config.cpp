#include "config/config.hpp"

namespace kfast::daemon::config {

Limits default_total_limits() {
  Limits total;
  total.sessions = 1'024;
  total.channels = 1'024;
  total.ring_bytes = std::uint64_t{4} << 30;
  total.topics = 4'096;
  return total;
}

const Limits& limits_for(const Config& config, const std::string& user) {
  const auto found = config.limits.find(user);
  return found == config.limits.end() ? config.limits.at("default") : found->second;
}

}  // namespace kfast::daemon::config
