#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "kfastctl/commands.hpp"
#include "kfastctl/daemon_process.hpp"
#include "kfastctl/drain_state.hpp"
#include "kfastctl/snapshot.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {
namespace {

enum Exit : int { kDrained = 0, kRecordsLeft = 1, kNotFollowed = 3 };

/// Between two looks, while kfastd drains and before it begins.
constexpr std::uint64_t kLookMs = 1000;
constexpr std::uint64_t kLookForBeginMs = 20;
/// A kfastd that has not begun after this long, or not ended this long after its deadline (of which
/// librdkafka may take 10 s), hangs.
constexpr std::uint64_t kHangsMs = 15'000;

int fail(const std::string& why) {
  std::fprintf(stderr, "kfastctl: %s\n", why.c_str());
  return kNotFollowed;
}

/// One line that is written over on a terminal; elsewhere a line for each change.
class Line {
 public:
  void show(const DrainState& state) {
    const std::string text = progress_text(state, terminal_);
    if (text == last_) {
      return;
    }
    last_ = text;
    std::printf(terminal_ ? "\r%s\x1b[K" : "%s\n", progress_text(state, true).c_str());
    std::fflush(stdout);
  }
  void end() {
    if (terminal_ && !last_.empty()) {
      std::printf("\n");
      std::fflush(stdout);
    }
    last_.clear();
  }

 private:
  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
  std::string last_;
};

class Follower {
 public:
  Follower(std::unique_ptr<StatsFile> file, DaemonProcess process, DrainOptions options)
      : file_(std::move(file)), process_(std::move(process)), options_(options) {}
  int run();

 private:
  [[nodiscard]] DrainState look() const {
    const Parsed parsed = parse_snapshot(file_->bytes(), true, boottime_ms());
    return parsed.snapshot ? drain_state(*parsed.snapshot) : DrainState{};
  }
  [[nodiscard]] int verdict(const DrainState& state);
  void warn_of_hang(const DrainState& state, std::uint64_t now);

  std::unique_ptr<StatsFile> file_;
  DaemonProcess process_;
  DrainOptions options_;
  Line line_;
  std::uint64_t moved_at_ = 0;  // when kfastd was last seen to be in time
  bool warned_ = false;
};

int Follower::run() {
  DrainState state = look();
  // A second SIGTERM would end the wait of a drain that runs already.
  if (!state.begun) {
    if (const std::string wrong = process_.signal(SIGTERM); !wrong.empty()) {
      return fail(wrong);
    }
  }
  const std::uint64_t start = moved_at_ = boottime_ms();
  bool hurry = options_.now;
  while (!process_.wait_end(state.begun ? kLookMs : kLookForBeginMs)) {
    state = look();
    if (hurry && state.begun && !state.whole) {
      hurry = false;
      if (const std::string wrong = process_.signal(SIGTERM); !wrong.empty()) {
        return fail(wrong);
      }
    }
    line_.show(state);
    const std::uint64_t now = boottime_ms();
    warn_of_hang(state, now);
    if (options_.timeout_seconds &&
        static_cast<double>(now - start) >= *options_.timeout_seconds * 1000) {
      line_.end();
      return fail("not followed any longer (--timeout); kfastd (pid " +
                  std::to_string(process_.pid()) + ") goes on: " + progress_text(state, true) +
                  "; `kfastctl drain` follows it again, `kfastctl drain --now` ends its wait");
    }
  }
  return verdict(look());
}

void Follower::warn_of_hang(const DrainState& state, std::uint64_t now) {
  if (state.begun && state.left_ms != 0) {
    moved_at_ = now;
  }
  if (!warned_ && now - moved_at_ >= kHangsMs) {
    warned_ = true;
    line_.end();
    std::fprintf(stderr,
                 "kfastctl: kfastd (pid %d) does not %s: it hangs, or is stopped by a debugger; "
                 "`kill -9 %d` ends it, and what workers that live have in their rings is "
                 "delivered by the next kfastd\n",
                 process_.pid(),
                 state.begun ? "end, though its deadline has passed" : "heed SIGTERM",
                 process_.pid());
  }
}

int Follower::verdict(const DrainState& state) {
  line_.end();
  if (!state.whole) {
    return fail("kfastd (pid " + std::to_string(process_.pid()) +
                ") has ended before its drain had: it was killed, or hung; records without an "
                "outcome stay in the rings of workers that live, for the next kfastd");
  }
  std::printf("%s", verdict_text(state).c_str());
  return *state.whole ? kDrained : kRecordsLeft;
}

}  // namespace

int run_drain(const std::string& socket_dir, const DrainOptions& options) {
  auto opened = StatsFile::open(socket_dir);
  if (!opened.file) {
    return fail(opened.error);
  }
  const Parsed parsed = parse_snapshot(opened.file->bytes(), true, boottime_ms());
  if (!parsed.snapshot) {
    return fail(parsed.error);
  }
  auto found = DaemonProcess::find(*opened.file, *parsed.snapshot, socket_dir);
  if (!found.process) {
    return fail(found.error);
  }
  return Follower(std::move(opened.file), std::move(*found.process), options).run();
}

}  // namespace kfast::ctl
