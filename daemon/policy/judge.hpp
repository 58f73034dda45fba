// The rule of who a peer is, apart from how the kernel is asked.
#pragma once

#include <sys/types.h>

#include <vector>

#include "config/result.hpp"
#include "policy/principal.hpp"
#include "policy/process_status.hpp"

namespace kfast::daemon::policy {

/// What is known of a peer: `uid`, `gid` and `groups` of its connect(), `now` read afterwards.
struct Evidence {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  ProcessStatus now;
  bool our_user_namespace = false;
  uid_t overflow_uid = 65534;
  gid_t overflow_gid = 65534;
};

/// The principal, without its name, or the reason for a refusal (see identify() for the rule).
Result<Principal> judge(const Evidence& evidence);

}  // namespace kfast::daemon::policy
