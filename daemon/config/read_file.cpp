#include "config/read_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "kfast/ipc/fd.hpp"

namespace kfast::daemon::config {

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: a FIFO in its place must not hang the daemon.
  const ipc::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    return Failure{path + ": " + std::strerror(errno)};
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return Failure{path + ": " + std::strerror(errno)};
  }
  if (!S_ISREG(status.st_mode)) {
    return Failure{path + ": not a regular file"};
  }
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return Failure{path + ": " + std::strerror(errno)};
    }
    if (got == 0) {
      return content;
    }
    content.append(buffer, static_cast<std::size_t>(got));
    if (content.size() > limit) {
      return Failure{path + ": larger than " + std::to_string(limit) + " bytes"};
    }
  }
}

}  // namespace kfast::daemon::config
