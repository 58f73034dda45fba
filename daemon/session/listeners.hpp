// The two sockets on which workers knock: bound here, or opened by systemd before kfastd was
// started (socket activation), so that workers can connect before kfastd is up.
#pragma once

#include <vector>

#include "config/config.hpp"
#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"
#include "session/fd_store.hpp"

namespace kfast::daemon::session {

/// The name under which systemd passes both (FileDescriptorName= of the socket unit). Which of them
/// one is its type says.
constexpr const char* kListenerName = "listen";

struct Listeners {
  ipc::Fd sessions;    // SOCK_SEQPACKET
  ipc::Fd bells;       // SOCK_STREAM
  bool given = false;  // not ours to take away: they outlive this process
};

/// Takes the listening sockets out of what this process was started with; what is kept stays.
/// Without any, those of the result are invalid. Fails with a sentence where one is missing, double
/// or of another kind, or has another name.
[[nodiscard]] Result<Listeners> take_listeners(std::vector<KeptFd>& fds);

/// `given` as it is, if it listens in the configured directory; where nothing was given, sockets
/// that are bound there now. The caller holds the directory's lock. Fails with a sentence.
[[nodiscard]] Result<Listeners> open_listeners(const config::Daemon& config, Listeners given);

/// Removes the files of sockets that were bound here.
void remove_files(const config::Daemon& config, const Listeners& listeners);

}  // namespace kfast::daemon::session
