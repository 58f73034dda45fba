// kfastd --keeper: a small parent that holds kfastd's descriptors and starts it again when it dies,
// for hosts without systemd.
#pragma once

namespace kfast::daemon::keeper {

/// Starts this program again with the same arguments but --keeper, as a child, and serves it what
/// systemd would: $NOTIFY_SOCKET, the descriptor store, a restart when it is killed. Returns the
/// exit code when the child has ended by itself. Call it before there are threads.
[[nodiscard]] int run_keeper(int argc, char** argv);

}  // namespace kfast::daemon::keeper
