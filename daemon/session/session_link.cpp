#include "session/session_link.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kfast/ipc/wire.hpp"
#include "session/packet.hpp"
#include "session/server.hpp"

namespace kfast::daemon::session {
namespace {

/// Bell connections of one session: each costs us a descriptor, which no limit of kfastd.toml
/// counts.
constexpr std::size_t kMaxBells = 16;

}  // namespace

void SessionLink::wake() {
  const std::lock_guard lock(mutex_);
  if (socket_.valid()) {
    // When the client does not read, its socket is readable already: nothing is lost if this one
    // does not fit.
    static_cast<void>(send_message(socket_.get(), ipc::make_message<ipc::Wake>()));
  }
  for (const auto& bell : bells_) {
    bell->ring(ipc::kBellRings);  // where it does not fit, one that was not read does as well
  }
}

void SessionLink::violated(const std::string& rule) {
  server_.post_violation(session_, rule);
}

void SessionLink::channel_closed(std::uint32_t channel) {
  server_.post_channel_closed(session_, channel);
}

bool SessionLink::add_bell(std::shared_ptr<const Bell> bell) {
  const std::lock_guard lock(mutex_);
  const bool again = std::find(bells_.begin(), bells_.end(), bell) != bells_.end();
  if (!again && (!socket_.valid() || bells_.size() >= kMaxBells)) {
    return false;
  }
  bell->ring(ipc::kBellBound);
  if (!again) {
    bells_.push_back(std::move(bell));
  }
  return true;
}

void SessionLink::drop_bell(const Bell& bell) {
  const std::lock_guard lock(mutex_);
  std::erase_if(bells_, [&bell](const auto& each) { return each.get() == &bell; });
}

std::vector<std::shared_ptr<const Bell>> SessionLink::hang_up() {
  const std::lock_guard lock(mutex_);
  socket_.reset();
  return std::exchange(bells_, {});
}

}  // namespace kfast::daemon::session
