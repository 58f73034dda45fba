// The one rate-limited log of this process.
#pragma once

#include "limited_log.hpp"

namespace kfast::daemon::telemetry {

/// Makes the process's log over spdlog's default logger; `suppressed` counts lines left out and
/// must outlive the process's threads. Once, after set_up_log() and before threads start.
void open_process_log(DaemonBlock* suppressed);

/// The log of everything that can repeat. Any thread. Works (without counting) also before
/// open_process_log().
LimitedLog& process_log();

}  // namespace kfast::daemon::telemetry
