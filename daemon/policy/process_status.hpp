// What /proc tells about a process and its namespaces.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "config/result.hpp"

namespace kfast::daemon::policy {

struct ProcessStatus {
  uid_t effective_uid = 0;
  std::size_t pid_namespaces = 0;  ///< how many pids it has, counted from our namespace down
};

/// Reads the fields from the text of /proc/<pid>/status.
Result<ProcessStatus> parse_status(const std::string& text);
/// Reads /proc/<pid>/status.
Result<ProcessStatus> read_status(pid_t pid);
/// Whether the process is in our own user namespace, as far as we may look.
bool in_our_user_namespace(pid_t pid);
/// The uid by which the kernel shows users that our namespace does not map.
uid_t overflow_uid();
/// The same for groups.
gid_t overflow_gid();

}  // namespace kfast::daemon::policy
