// The kfastd behind a stats segment, as a process to signal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kfast/ipc/fd.hpp"
#include "kfastctl/snapshot.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {

/// Holds a pidfd, so it is never another process that got the same number. One thread.
class DaemonProcess {
 public:
  struct Found;

  /// Only a living kfastd of this pid namespace, whose user is the file's owner. The lock on the
  /// file says that the one who wrote the pid lives, also after the pidfd was made of it.
  [[nodiscard]] static Found find(const StatsFile& file, const Snapshot& snapshot,
                                  const std::string& socket_dir);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Empty, or why it could not be sent, with the cure. One that has ended is no error.
  [[nodiscard]] std::string signal(int number) const;
  /// Waits for its end; false when it still runs after `milliseconds`.
  [[nodiscard]] bool wait_end(std::uint64_t milliseconds) const;

 private:
  DaemonProcess(pid_t pid, uid_t user, ipc::Fd fd);
  pid_t pid_;
  uid_t user_;
  ipc::Fd fd_;
};

struct DaemonProcess::Found {
  std::optional<DaemonProcess> process;
  std::string error;  ///< when there is none: a sentence with cause and cure
};

}  // namespace kfast::ctl
