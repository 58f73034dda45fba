#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kfast/ipc/fd.hpp"
#include "kfastctl/commands.hpp"
#include "kfastctl/health_check.hpp"
#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {
namespace {

// A kfastd that is up makes its files (inotify sees that), then becomes ready without touching any:
// so look again this often.
constexpr std::uint64_t kLookAgainMs = 100;

void wait_for_change(const ipc::Fd& watch, std::uint64_t at_most_ms) {
  pollfd entry{watch.get(), POLLIN, 0};
  if (::poll(&entry, 1, static_cast<int>(at_most_ms)) > 0) {
    char events[4096];
    while (::read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

bool good_enough(const Health& health, const HealthOptions& options) {
  return health.level == HealthLevel::ok ||
         (options.tolerate_warnings && health.level == HealthLevel::warning);
}

}  // namespace

int run_health(const std::string& socket_dir, const HealthOptions& options) {
  const std::uint64_t stale_ms = std::uint64_t{options.stale_seconds} * 1000;
  const std::uint64_t deadline = boottime_ms() + std::uint64_t{options.wait_seconds} * 1000;
  const ipc::Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (watch.valid()) {
    // Without a watch (the directory may not exist yet) the bounded wait is all there is.
    ::inotify_add_watch(watch.get(), socket_dir.c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
  }
  Health health = check_health(socket_dir, stale_ms);
  for (std::uint64_t now = boottime_ms(); !good_enough(health, options) && now < deadline;
       now = boottime_ms()) {
    wait_for_change(watch, std::min(kLookAgainMs, deadline - now));
    health = check_health(socket_dir, stale_ms);
  }
  for (const std::string& finding : health.findings) {
    std::printf("%s\n", finding.c_str());
  }
  return good_enough(health, options) ? 0 : static_cast<int>(health.level);
}

}  // namespace kfast::ctl
