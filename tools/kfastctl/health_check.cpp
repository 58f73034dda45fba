#include "kfastctl/health_check.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"
#include "kfastctl/stat_output.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {
namespace {

using ipc::stats::Activity;
using ipc::stats::Phase;

int severity(HealthLevel level) noexcept {
  switch (level) {
    case HealthLevel::ok:
      return 0;
    case HealthLevel::warning:
      return 1;
    case HealthLevel::unknown:
      return 2;
    case HealthLevel::critical:
      return 3;
  }
  return 3;
}

void check_socket(const std::string& socket_dir, Health& health) {
  const std::string path = socket_dir + "/" + ipc::kSessionSocketName;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    health.add(HealthLevel::unknown, path + " is too long for a socket: use a shorter directory");
    return;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const ipc::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    health.add(HealthLevel::unknown, std::string("cannot make a socket: ") + std::strerror(errno));
    return;
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    health.add(HealthLevel::ok, path + " accepts connections");
    return;
  }
  switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
      health.add(HealthLevel::critical,
                 "kfastd does not listen on " + path +
                     ": start it (systemctl start kfastd, or kfastd --dev), or name its directory "
                     "with --socket-dir or KFAST_SOCKET_DIR");
      break;
    case EACCES:
    case EPERM:
      health.add(HealthLevel::unknown,
                 "no permission to connect to " + path + ": run as a user of kfastd");
      break;
    case EAGAIN:
      health.add(HealthLevel::critical,
                 path + " has a full queue: kfastd does not accept connections");
      break;
    default:
      health.add(HealthLevel::critical, "cannot connect to " + path + ": " + std::strerror(errno));
  }
}

void check_brokers(const Snapshot& snapshot, Health& health) {
  for (const Metric& metric : snapshot.metrics) {
    if (metric.name == "kfast_all_brokers_down" && metric.value != 0) {
      health.add(HealthLevel::warning,
                 "no broker answers (" + labels_text(metric.labels) +
                     "): records wait in their rings; `kfastctl stat --scope profile` shows the "
                     "last error");
    }
  }
}

void check_store(const Snapshot& snapshot, Health& health) {
  for (const Metric& metric : snapshot.metrics) {
    if (metric.name == "kfast_fd_store_silent" && metric.value != 0) {
      health.add(HealthLevel::warning,
                 "who keeps the channels' descriptors ($NOTIFY_SOCKET) gives no answer: what is "
                 "accepted is lost if kfastd and its worker are both killed");
    }
  }
}

}  // namespace

void Health::add(HealthLevel found, const std::string& finding) {
  findings.push_back(std::string(to_string(found)) + ": " + finding);
  if (severity(found) > severity(level)) {
    level = found;
  }
}

void check_snapshot(const Snapshot& snapshot, std::uint64_t stale_ms, Health& health) {
  bool hung = false;
  if (snapshot.alive) {
    for (const Beat& beat : snapshot.beats) {
      if (beat.activity == Activity::working && beat.age_ms > stale_ms) {
        hung = true;
        health.add(HealthLevel::critical, "shard " + std::to_string(beat.shard) +
                                              " has made no progress for " +
                                              duration_text(beat.age_ms));
      }
    }
  }
  if (!snapshot.alive || snapshot.phase == Phase::stopped) {
    health.add(HealthLevel::critical, header_line(snapshot));
  } else if (snapshot.phase != Phase::running) {
    health.add(HealthLevel::warning, header_line(snapshot));
  } else if (!hung) {
    health.add(HealthLevel::ok, header_line(snapshot));
  }
  check_brokers(snapshot, health);
  check_store(snapshot, health);
}

Health check_health(const std::string& socket_dir, std::uint64_t stale_ms) {
  Health health;
  check_socket(socket_dir, health);
  auto opened = StatsFile::open(socket_dir);
  if (!opened.file) {
    health.add(
        opened.failure == StatsFile::Failure::absent ? HealthLevel::critical : HealthLevel::unknown,
        opened.error);
    return health;
  }
  const Parsed parsed =
      parse_snapshot(opened.file->bytes(), opened.file->writer_is_alive(), boottime_ms());
  if (parsed.snapshot) {
    check_snapshot(*parsed.snapshot, stale_ms, health);
  } else {
    health.add(HealthLevel::unknown, parsed.error);
  }
  return health;
}

const char* to_string(HealthLevel level) noexcept {
  switch (level) {
    case HealthLevel::ok:
      return "ok";
    case HealthLevel::warning:
      return "warning";
    case HealthLevel::critical:
      return "critical";
    case HealthLevel::unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace kfast::ctl
