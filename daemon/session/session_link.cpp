#include "session/session_link.hpp"

#include <poll.h>
#include <sys/socket.h>

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
  const char ring = '!';
  for (const ipc::Fd& bell : bells_) {
    static_cast<void>(::send(bell.get(), &ring, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  }
}

void SessionLink::violated(const std::string& rule) {
  server_.post_violation(session_, rule);
}

void SessionLink::channel_closed(std::uint32_t channel) {
  server_.post_channel_closed(session_, channel);
}

bool SessionLink::add_bell(ipc::Fd bell) {
  const std::lock_guard lock(mutex_);
  std::erase_if(bells_, [](const ipc::Fd& each) {
    pollfd entry{each.get(), 0, 0};
    return ::poll(&entry, 1, 0) != 0;  // the peer has closed it
  });
  if (!socket_.valid() || bells_.size() >= kMaxBells) {
    return false;
  }
  const char bound = '+';
  static_cast<void>(::send(bell.get(), &bound, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  bells_.push_back(std::move(bell));
  return true;
}

void SessionLink::hang_up() {
  const std::lock_guard lock(mutex_);
  socket_.reset();
  bells_.clear();
}

}  // namespace kfast::daemon::session
