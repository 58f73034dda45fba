#include "kfastctl/stats_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kfast/ipc/stats_layout.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::ctl {
namespace {

namespace bip = boost::interprocess;

/// What mapped_region wants to see of a file descriptor.
class Mappable {
 public:
  explicit Mappable(int fd) noexcept : fd_(fd) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }

 private:
  int fd_;
};

std::string cure_for(int error, const std::string& socket_dir) {
  switch (error) {
    case ENOENT:
      return ": kfastd has not run with this socket directory. Start it (systemctl start kfastd, "
             "or "
             "kfastd --dev), or name its directory with --socket-dir or KFAST_SOCKET_DIR";
    case EACCES:
      return ": no permission. Run as a user that may enter " + socket_dir;
    default:
      return std::string(": ") + std::strerror(error);
  }
}

}  // namespace

StatsFile::StatsFile(ipc::Fd fd, uid_t owner, bip::mapped_region region)
    : fd_(std::move(fd)), owner_(owner), region_(std::move(region)) {}

StatsFile::Opened StatsFile::open(const std::string& socket_dir) {
  const std::string path = socket_dir + "/" + ipc::kStatsFileName;
  ipc::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    const int error = errno;
    const Failure failure = error == ENOENT                     ? Failure::absent
                            : error == EACCES || error == EPERM ? Failure::no_permission
                                                                : Failure::other;
    return {nullptr, failure, "cannot open " + path + cure_for(error, socket_dir)};
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size < static_cast<off_t>(sizeof(ipc::stats::Header))) {
    return {nullptr, Failure::other,
            path + " is not a stats segment of kfastd: restart kfastd, which makes a new one"};
  }
  try {
    bip::mapped_region region(Mappable(fd.get()), bip::read_only, 0,
                              static_cast<std::size_t>(status.st_size));
    return {
        std::unique_ptr<StatsFile>(new StatsFile(std::move(fd), status.st_uid, std::move(region))),
        Failure::none,
        {}};
  } catch (const bip::interprocess_exception& problem) {
    return {nullptr, Failure::other,
            "cannot map " + path + ": " + std::strerror(problem.get_native_error())};
  }
}

bool StatsFile::writer_is_alive() const noexcept {
  if (::flock(fd_.get(), LOCK_SH | LOCK_NB) == 0) {
    ::flock(fd_.get(), LOCK_UN);
    return false;
  }
  return errno == EWOULDBLOCK;
}

}  // namespace kfast::ctl
