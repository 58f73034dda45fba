#include "policy/judge.hpp"

#include <algorithm>
#include <string>

namespace kfast::daemon::policy {
namespace {

// Also where the overflow ids are configured to be others: users know 65534 as nobody.
constexpr unsigned nobody = 65534;

}  // namespace

Result<Principal> judge(const Evidence& evidence) {
  const uid_t uid = evidence.uid;
  if (uid == nobody || uid == evidence.overflow_uid || uid == static_cast<uid_t>(-1)) {
    return Failure{"uid " + std::to_string(uid) +
                   " is nobody's: the worker is a user that kfastd's namespace does not know; run "
                   "it as a user of its own"};
  }
  if (evidence.now.effective_uid != uid) {
    return Failure{"the worker connected as uid " + std::to_string(uid) + " and is uid " +
                   std::to_string(evidence.now.effective_uid) +
                   " now: connect after the change of user"};
  }
  const bool ours = evidence.our_user_namespace && evidence.now.pid_namespaces == 1;
  if (!ours && uid == 0) {
    return Failure{std::string(
        "root of another user or pid namespace (a container's) is not root here: run the worker "
        "as a user of its own")};
  }

  Principal principal{uid, evidence.gid, evidence.groups, ""};
  auto& gids = principal.gids;
  gids.push_back(evidence.gid);
  std::sort(gids.begin(), gids.end());
  gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
  std::erase_if(gids, [&](gid_t gid) {
    return gid == nobody || gid == evidence.overflow_gid || (gid == 0 && !ours);
  });
  return principal;
}

}  // namespace kfast::daemon::policy
