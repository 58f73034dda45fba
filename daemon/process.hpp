// This process as its surroundings see it: directory lock, limits, signals, readiness.
#pragma once

#include <string>

#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::daemon {

/// Makes the directory if it is missing and locks it for this process; the lock ends with the
/// returned descriptor. Fails with a sentence when it cannot be made or another kfastd holds it.
[[nodiscard]] Result<ipc::Fd> claim_directory(const std::string& directory);

/// Moves this process's environment, in which passwords may be, to where /proc/PID/environ does not
/// look: that shows zeros from now on, to root, too. Before there is a second thread.
void hide_environment();

/// From now on nobody but root can read this process's memory, by /proc or a debugger, and no core
/// dump of it is made: passwords are in it, and librdkafka's copies cannot be told from the rest.
void hide_memory();

/// Raises the soft limit of file descriptors to the hard one: every channel needs three.
void raise_descriptor_limit();

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it starts, ignores SIGPIPE, and
/// returns a signalfd for them.
[[nodiscard]] Result<ipc::Fd> signals_as_descriptor();

/// From now on this process ends within `seconds`, whatever hangs; then with a line on stderr.
/// `clean` says that every record has its outcome: then a library that hangs is no failure and the
/// exit code is 0, else 1.
void limit_shutdown(unsigned seconds, bool clean);

/// Makes every `new` that fails end this process with a line on stderr: no thread could go on, and
/// rings are kept by their workers.
void abort_when_out_of_memory();

/// sd_notify(3): tells whoever started us, by $NOTIFY_SOCKET. Does nothing without one.
void notify(const std::string& state);

}  // namespace kfast::daemon
