#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>

#include "kfastctl/commands.hpp"
#include "kfastctl/daemon_process.hpp"
#include "kfastctl/snapshot.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {
namespace {

enum Exit : int { kApplied = 0, kRefused = 1, kNotFollowed = 3 };

constexpr std::uint64_t kLookMs = 20;
/// Reading the file takes milliseconds, ending librdkafka's threads that tried it a little more.
constexpr std::uint64_t kHangsMs = 30'000;

int fail(const std::string& why) {
  std::fprintf(stderr, "kfastctl: %s\n", why.c_str());
  return kNotFollowed;
}

bool stops(const Snapshot& snapshot) {
  return snapshot.phase == ipc::stats::Phase::draining ||
         snapshot.phase == ipc::stats::Phase::stopped;
}

int fail_while_it_stops(const DaemonProcess& process) {
  return fail("kfastd (pid " + std::to_string(process.pid()) +
              ") stops, and takes no configuration any more: the next kfastd reads the file when "
              "it starts");
}

struct Reloads {
  std::uint64_t applied = 0;
  std::uint64_t refused = 0;
  std::string why;  // the last one was refused
};

Reloads reloads_in(const Snapshot& snapshot) {
  Reloads reloads;
  for (const Metric& metric : snapshot.metrics) {
    if (metric.name == "kfast_reloads_total" && !metric.labels.empty()) {
      (metric.labels.back().second == "applied" ? reloads.applied : reloads.refused) = metric.value;
    }
  }
  const auto note =
      std::find_if(snapshot.notes.begin(), snapshot.notes.end(),
                   [](const Note& each) { return each.name == "last_reload_refused"; });
  if (note != snapshot.notes.end()) {
    reloads.why = note->text;
  }
  return reloads;
}

}  // namespace

int run_reload(const std::string& socket_dir) {
  auto opened = StatsFile::open(socket_dir);
  if (!opened.file) {
    return fail(opened.error);
  }
  Parsed parsed = parse_snapshot(opened.file->bytes(), true, boottime_ms());
  if (!parsed.snapshot) {
    return fail(parsed.error);
  }
  const auto found = DaemonProcess::find(*opened.file, *parsed.snapshot, socket_dir);
  if (!found.process) {
    return fail(found.error);
  }
  if (stops(*parsed.snapshot)) {
    return fail_while_it_stops(*found.process);
  }
  const Reloads before = reloads_in(*parsed.snapshot);
  if (const std::string wrong = found.process->signal(SIGHUP); !wrong.empty()) {
    return fail(wrong);
  }
  const std::uint64_t start = boottime_ms();
  while (boottime_ms() - start < kHangsMs) {
    const bool ended = found.process->wait_end(kLookMs);
    parsed = parse_snapshot(opened.file->bytes(), true, boottime_ms());
    const Reloads now = parsed.snapshot ? reloads_in(*parsed.snapshot) : Reloads{};
    if (now.applied > before.applied) {
      std::printf("the configuration was read again and applied\n");
      return kApplied;
    }
    if (now.refused > before.refused) {
      std::printf("refused, nothing has changed: %s\n", now.why.c_str());
      return kRefused;
    }
    if (parsed.snapshot && stops(*parsed.snapshot)) {
      return fail_while_it_stops(*found.process);
    }
    if (ended) {
      return fail("kfastd has ended before it read its configuration again: the next one reads it");
    }
  }
  const bool starts = parsed.snapshot && parsed.snapshot->phase == ipc::stats::Phase::starting;
  return fail("kfastd (pid " + std::to_string(found.process->pid()) + ") " +
              (starts ? "still starts: it reads its configuration again as soon as it serves"
                      : "does not heed SIGHUP: it hangs; see `kfastctl health`"));
}

}  // namespace kfast::ctl
