#include "process_log.hpp"

#include <memory>

namespace kfast::daemon::telemetry {
namespace {

std::unique_ptr<LimitedLog>& slot() {
  static std::unique_ptr<LimitedLog> log;
  return log;
}

}  // namespace

void open_process_log(DaemonBlock* suppressed) {
  slot() = std::make_unique<LimitedLog>(spdlog::default_logger(), LimitedLog::Limits{}, suppressed);
}

LimitedLog& process_log() {
  if (!slot()) {
    open_process_log(nullptr);
  }
  return *slot();
}

}  // namespace kfast::daemon::telemetry
