#include "worker_process.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker.hpp"

namespace kfast::bench {

WorkerProcess::WorkerProcess(const char* role, const nlohmann::json& task) : role_(role) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    give_up("no socket pair could be made: too many open files?");
  }
  line_ = ipc::Fd(ends[0]);
  const ipc::Fd theirs(ends[1]);
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  process_ = ChildProcess({self, "--role", role_}, theirs.get(), theirs.get());
  tell(task);
}

void WorkerProcess::tell(const nlohmann::json& value) {
  const std::string text = value.dump() + '\n';
  if (::send(line_.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(text.size())) {
    give_up("a worker of " + role_ + " has ended; the lines above say why");
  }
}

nlohmann::json WorkerProcess::hear() {
  std::size_t end = 0;
  while ((end = heard_.find('\n')) == std::string::npos) {
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(line_.get(), buffer.data(), buffer.size());
    if (n <= 0) {
      give_up("a worker of " + role_ + " has ended; the lines above say why");
    }
    heard_.append(buffer.data(), static_cast<std::size_t>(n));
  }
  const nlohmann::json value = nlohmann::json::parse(heard_.substr(0, end));
  heard_.erase(0, end + 1);
  return value;
}

void WorkerProcess::finish() {
  if (!process_.wait()) {
    give_up("a worker of " + role_ + " failed; the lines above say why");
  }
}

nlohmann::json hear_parent() {
  std::string line;
  if (!std::getline(std::cin, line)) {
    give_up("the benchmark has ended");
  }
  return nlohmann::json::parse(line);
}

void tell_parent(const nlohmann::json& value) {
  std::printf("%s\n", value.dump().c_str());
  std::fflush(stdout);
}

}  // namespace kfast::bench
