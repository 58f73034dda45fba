// Which topics each principal has made librdkafka keep.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/result.hpp"
#include "policy/principal.hpp"
#include "policy/quota.hpp"

namespace kfast::daemon::shard {

/// Counts topics against a principal's limit for as long as the shard's Kafka instances live. Not
/// for as long as a channel: librdkafka keeps a topic, its partitions and its place in every
/// metadata request until rd_kafka_destroy(), also after rd_kafka_topic_destroy(). A worker that
/// opens channels one after the other would make it keep ever more. Used by one shard's thread.
class TopicClaims {
 public:
  explicit TopicClaims(policy::Quota& quota) : quota_(quota) {}

  /// Counts the topic once, however many of the principal's channels use it. Fails with the limit
  /// that stands against it.
  [[nodiscard]] Result<bool> claim(const policy::Principal& who, std::string_view profile,
                                   std::string_view topic) {
    auto key = std::make_tuple(who.uid, std::string(profile), std::string(topic));
    if (leases_.contains(key)) {
      return true;
    }
    auto lease = quota_.take(who, policy::Resource::topics);
    if (!lease) {
      return Failure{lease.error()};
    }
    leases_.emplace(std::move(key), lease.take());
    return true;
  }

 private:
  policy::Quota& quota_;
  std::map<std::tuple<uid_t, std::string, std::string>, policy::Lease> leases_;
};

}  // namespace kfast::daemon::shard
