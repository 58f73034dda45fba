// From a connected unix socket to the principal and the process behind it.
#pragma once

#include <sys/types.h>

#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"
#include "policy/principal.hpp"

namespace kfast::daemon::policy {

/// The peer of a session socket. The pidfd becomes readable when the process ends.
struct Peer {
  Principal principal;
  pid_t pid = 0;
  ipc::Fd pidfd;
};

/// Says who is at the other end of a connected unix socket, or why nobody can be told.
///
/// The rule, in its order:
///  1. SO_PEERCRED names pid, uid and gid as they were at connect(), in our namespaces; what the
///     peer says is never asked. SO_PEERGROUPS adds its supplementary groups of that moment.
///  2. The overflow uid (65534, and what /proc/sys/kernel/overflowuid says) is how the kernel shows
///     every user that our user namespace does not map: it is refused. The overflow gid is dropped
///     from the groups.
///  3. Pid 0 is a process that our pid namespace cannot see; its end could not be noticed: refused.
///  4. A pidfd is taken: SO_PEERPIDFD where the kernel has it (Linux 6.5), which is the connecting
///     process for certain; else pidfd_open(pid), where the number may have been reused.
///  5. So /proc/<pid> is then read: its effective uid must still be the peer's. A process that was
///     another user when it connected than it is now is refused too, or a worker that gave up root
///     would be root to us.
///  6. Uid 0 counts as root only in our own user and pid namespace: NSpid in /proc/<pid>/status
///     names one pid only, and ns/user is ours. Without the right to look at ns/user, uid_map must
///     read as our own does. Otherwise it is refused: it is the root of a container, not ours. A
///     process of other namespaces also loses group 0.
///  7. Only then the pidfd is asked whether the process still lives. Since a pid is not reused
///  while
///     its process lives, everything read in 5 and 6 was about the process of the pidfd, and the
///     socket must not have hung up.
/// What remains of reuse with pidfd_open: a process of the same user that took the pid between
/// connect() and 4, while a forked copy of the peer keeps the socket open. It has the same rights.
///
/// Needs a /proc that shows other users' processes (no hidepid, no ProtectProc=invisible).
/// Thread-safe; for accept time, not for the record path.
Result<Peer> identify(int socket_fd);

}  // namespace kfast::daemon::policy
