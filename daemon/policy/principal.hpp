// Who a session is.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kfast::daemon::policy {

/// A local worker's identity, from the kernel alone. Numbers are those of the daemon's namespace.
struct Principal {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> gids;  ///< gid and the supplementary groups, without nobody's
  std::string name;         ///< the user's name, or the uid in decimal where it has none
};

}  // namespace kfast::daemon::policy
