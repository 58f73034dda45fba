// `kfastd --check-config`: errors, warnings, and what the daemon would run with.
#pragma once

#include <ostream>
#include <string>

namespace kfast::daemon::config {

/// Checks the file as the daemon would, and makes a producer of every profile, without brokers.
/// Returns the exit code: 0 where the daemon would start (warnings or not), 1 where it would not.
/// Secrets are printed as "***".
int check_config(const std::string& path, std::ostream& out);

}  // namespace kfast::daemon::config
