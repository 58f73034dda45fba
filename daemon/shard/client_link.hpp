// What a shard can tell the worker behind a channel; its session implements this.
#pragma once

#include <cstdint>
#include <string>

namespace kfast::daemon::shard {

/// Thread-safe. Outlives the channels that hold it.
class ClientLink {
 public:
  ClientLink() = default;
  ClientLink(const ClientLink&) = delete;
  ClientLink& operator=(const ClientLink&) = delete;
  virtual ~ClientLink() = default;

  /// Makes the session socket, and the bells bound to it, readable. Never blocks.
  virtual void wake() = 0;
  /// The client broke a rule: its session must end.
  virtual void violated(const std::string& rule) = 0;
  /// The channel has delivered or given up everything, and its memory is gone.
  virtual void channel_closed(std::uint32_t channel) = 0;
};

}  // namespace kfast::daemon::shard
