#include "telemetry/log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "telemetry/stderr_sink.hpp"

namespace kfast::daemon::telemetry {
namespace {

struct LevelName {
  spdlog::level::level_enum level;
  const char* name;
  const char* priority;  // syslog's, as sd-daemon(3) writes it
};

constexpr LevelName kLevels[] = {
    {spdlog::level::trace, "trace", "<7>"}, {spdlog::level::debug, "debug", "<7>"},
    {spdlog::level::info, "info", "<6>"},   {spdlog::level::warn, "warn", "<4>"},
    {spdlog::level::err, "error", "<3>"},   {spdlog::level::critical, "critical", "<2>"},
    {spdlog::level::off, "off", "<2>"},
};

void append(spdlog::memory_buf_t& line, std::string_view text) {
  line.append(text.data(), text.data() + text.size());
}

void append_escaped(spdlog::memory_buf_t& line, std::string_view text) {
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0x20 && value != 0x7f) {
      line.push_back(byte);
    } else if (byte == '\n') {
      append(line, "\\n");
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(value));
      append(line, escaped);
    }
  }
}

}  // namespace

void LineFormatter::format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) {
  const LevelName& level = kLevels[message.level];
  if (journal_) {
    append(line, level.priority);
  } else {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto since_epoch = duration_cast<milliseconds>(message.time.time_since_epoch()).count();
    const auto seconds = static_cast<std::time_t>(since_epoch / 1000);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    char time[64];
    const std::size_t size = std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    append(line, {time, size});
    std::snprintf(time, sizeof time, ".%03dZ ", static_cast<int>(since_epoch % 1000));
    append(line, time);
    append(line, level.name);
    line.push_back(' ');
  }
  append_escaped(line, {message.payload.data(), message.payload.size()});
  line.push_back('\n');
}

std::unique_ptr<spdlog::formatter> LineFormatter::clone() const {
  return std::make_unique<LineFormatter>(journal_);
}

std::optional<spdlog::level::level_enum> parse_log_level(std::string_view name) noexcept {
  for (const LevelName& level : kLevels) {
    if (name == level.name) {
      return level.level;
    }
  }
  return std::nullopt;
}

bool stderr_is_journal() noexcept {
  const char* stream = std::getenv("JOURNAL_STREAM");
  unsigned long long device = 0;
  unsigned long long inode = 0;
  struct stat status {};
  return stream != nullptr && std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
         ::fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void set_up_log(spdlog::level::level_enum level) {
  auto sink = std::make_shared<StderrSink>();
  auto logger = std::make_shared<spdlog::logger>("kfastd", std::move(sink));
  logger->set_formatter(std::make_unique<LineFormatter>(stderr_is_journal()));
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace kfast::daemon::telemetry
