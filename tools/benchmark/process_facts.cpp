#include "process_facts.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

/// The number behind `key` in a file of lines "key: number"; 0 where it is not there.
std::uint64_t number_in(const std::filesystem::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) {
      return std::stoull(line.substr(key.size()));
    }
  }
  return 0;
}

/// A thread's run time, which /proc counts in nanoseconds.
double run_seconds(const std::filesystem::path& task) {
  std::uint64_t ns = 0;
  std::ifstream(task / "schedstat") >> ns;
  return static_cast<double>(ns) / 1e9;
}

}  // namespace

double cpu_seconds(pid_t pid) {
  clockid_t clock = 0;
  if (::clock_getcpuclockid(pid, &clock) != 0) {
    give_up("there is no process " + std::to_string(pid) + " whose CPU time could be read");
  }
  return static_cast<double>(now_ns(clock)) / 1e9;
}

std::vector<ThreadFacts> threads_of(pid_t pid) {
  const std::filesystem::path folder = "/proc/" + std::to_string(pid) + "/task";
  std::vector<ThreadFacts> threads;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(folder, gone)) {
    ThreadFacts thread;
    thread.tid = static_cast<pid_t>(std::stol(task.path().filename()));
    std::ifstream name(task.path() / "comm");
    std::getline(name, thread.name);
    thread.cpu_seconds = run_seconds(task.path());
    thread.sleeps = number_in(task.path() / "status", "voluntary_ctxt_switches:");
    threads.push_back(thread);
  }
  if (threads.empty()) {
    give_up("there is no process " + std::to_string(pid) + " whose threads could be read");
  }
  std::sort(threads.begin(), threads.end(),
            [](const ThreadFacts& a, const ThreadFacts& b) { return a.tid < b.tid; });
  return threads;
}

ProcessMemory memory_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps");
  const ProcessMemory memory = memory_in(file);
  if (memory.rest.rss <= 0) {
    give_up("there is no process " + std::to_string(pid) + " whose memory could be read");
  }
  return memory;
}

bool is_shard(const ThreadFacts& thread) {
  return thread.name.starts_with("kfast-shard");
}

bool is_librdkafka(const ThreadFacts& thread) {
  return thread.name.starts_with("rdk:");
}

}  // namespace kfast::bench
