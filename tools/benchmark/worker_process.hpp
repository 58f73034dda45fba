// This program again, as a worker process that does as it is told.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "child_process.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::bench {

/// A worker process of a special measurement. Both sides tell each other JSON values, a line each.
class WorkerProcess {
 public:
  /// Starts it and tells it `task`. `role`: the measurement's name.
  WorkerProcess(const char* role, const nlohmann::json& task);

  void tell(const nlohmann::json& value);
  /// Waits for what it tells; ends this process where it fails instead.
  [[nodiscard]] nlohmann::json hear();
  /// Waits for its end; ends this process where that is a failure.
  void finish();
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  std::string role_;
  ipc::Fd line_;
  std::string heard_;
  ChildProcess process_;
};

/// In the worker process: what the other side tells.
[[nodiscard]] nlohmann::json hear_parent();
void tell_parent(const nlohmann::json& value);

}  // namespace kfast::bench
