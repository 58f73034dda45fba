// kfastd's log: lines on stderr that an operator can read and the journal can sort.
//
//   on a terminal or in a file:
//   2026-01-31T12:00:00.123Z info session opened principal=www-data pid=4711
//   where stderr is the journal:
//   <6>session opened principal=www-data pid=4711
#pragma once

#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <string_view>

namespace kfast::daemon::telemetry {

/// One line per message; control characters, which may come from a worker or a broker, are escaped
/// as \n or \x1b, so that nobody forges a line or talks to the operator's terminal.
class LineFormatter : public spdlog::formatter {
 public:
  /// `journal`: the priority prefix of sd-daemon(3) in place of time and level, which the journal
  /// keeps itself.
  explicit LineFormatter(bool journal) noexcept : journal_(journal) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override;
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override;

 private:
  const bool journal_;
};

/// trace, debug, info, warn, error, critical or off; nothing for anything else.
std::optional<spdlog::level::level_enum> parse_log_level(std::string_view name) noexcept;

/// True when stderr is the journal's stream, as $JOURNAL_STREAM tells (device and inode,
/// systemd.exec(5)).
bool stderr_is_journal() noexcept;

/// Makes spdlog's default logger write these lines to stderr. Once, before threads start.
void set_up_log(spdlog::level::level_enum level);

}  // namespace kfast::daemon::telemetry
