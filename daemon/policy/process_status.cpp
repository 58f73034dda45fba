#include "policy/process_status.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <sstream>

#include "config/read_file.hpp"

namespace kfast::daemon::policy {
namespace {

constexpr std::size_t largest_proc_file = 1 << 20;
constexpr unsigned default_overflow = 65534;

unsigned overflow(const char* path) {
  const auto text = config::read_file(path, largest_proc_file);
  return text ? static_cast<unsigned>(std::strtoul(text->c_str(), nullptr, 10)) : default_overflow;
}

std::string proc(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

}  // namespace

Result<ProcessStatus> parse_status(const std::string& text) {
  ProcessStatus status;
  bool has_uid = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string label;
    words >> label;
    if (label == "Uid:") {
      uid_t real = 0;
      has_uid = static_cast<bool>(words >> real >> status.effective_uid);
    } else if (label == "NSpid:") {
      for (pid_t pid = 0; words >> pid;) {
        ++status.pid_namespaces;
      }
    }
  }
  if (!has_uid || status.pid_namespaces == 0) {
    return Failure{std::string("it has no Uid or no NSpid line")};
  }
  return status;
}

Result<ProcessStatus> read_status(pid_t pid) {
  const std::string path = proc(pid, "status");
  const auto text = config::read_file(path, largest_proc_file);
  if (!text) {
    return Failure{text.error()};
  }
  auto status = parse_status(*text);
  if (!status) {
    return Failure{path + ": " + status.error()};
  }
  return status;
}

bool in_our_user_namespace(pid_t pid) {
  struct stat ours {};
  struct stat theirs {};
  if (::stat("/proc/self/ns/user", &ours) == 0 &&
      ::stat(proc(pid, "ns/user").c_str(), &theirs) == 0) {
    return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
  }
  const auto our_map = config::read_file("/proc/self/uid_map", largest_proc_file);
  const auto their_map = config::read_file(proc(pid, "uid_map"), largest_proc_file);
  return our_map && their_map && *our_map == *their_map;
}

uid_t overflow_uid() {
  return overflow("/proc/sys/kernel/overflowuid");
}

gid_t overflow_gid() {
  return overflow("/proc/sys/kernel/overflowgid");
}

}  // namespace kfast::daemon::policy
