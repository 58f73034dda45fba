#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "kfastctl/commands.hpp"
#include "kfastctl/stat_output.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {
namespace {

void wait_seconds(double seconds) {
  timespec left{
      static_cast<time_t>(seconds),
      static_cast<long>((seconds - static_cast<double>(static_cast<time_t>(seconds))) * 1e9)};
  ::nanosleep(&left, nullptr);
}

/// False when stdout is gone.
bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

}  // namespace

int run_stat(const std::string& socket_dir, const StatOptions& options) {
  const Selection selection{options.all, options.scope, options.filter};
  const bool live =
      !options.once && !options.json && ::isatty(STDOUT_FILENO) == 1 && !options.count;
  const bool endless = live || (!options.once && options.interval && !options.count);
  const std::uint64_t rounds = options.count && !options.once ? *options.count : 1;
  const double interval = options.interval.value_or(1.0);

  EarlierRound earlier;
  std::uint64_t earlier_at = 0;
  for (std::uint64_t round = 0; endless || round < rounds; ++round) {
    if (round > 0) {
      wait_seconds(interval);
    }
    const Parsed parsed = read_snapshot(socket_dir);
    if (!parsed.snapshot) {
      std::fprintf(stderr, "kfastctl: %s\n", parsed.error.c_str());
      return 1;
    }
    const std::uint64_t now = boottime_ms();
    std::string text;
    if (options.json) {
      text = json_of(*parsed.snapshot, selection) + "\n";
    } else {
      earlier.seconds_ago = static_cast<double>(now - earlier_at) / 1000;
      text = live ? "\x1b[H\x1b[J" : "";
      text += text_of(*parsed.snapshot, selection, round > 0 ? &earlier : nullptr);
    }
    if (!print(text)) {
      return 1;
    }
    earlier_at = now;
    earlier.values.clear();
    for (const Metric& metric : parsed.snapshot->metrics) {
      if (metric.value != 0) {
        earlier.values.emplace(metric_id(metric), metric.value);
      }
    }
  }
  return 0;
}

}  // namespace kfast::ctl
