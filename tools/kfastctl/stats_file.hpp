// The stats segment as a file: opened, mapped read-only, and asked whether its writer lives.
#pragma once

#include <sys/types.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "kfast/ipc/fd.hpp"
#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {

/// Owns the descriptor and the mapping. One thread.
class StatsFile {
 public:
  enum class Failure { none, absent, no_permission, other };
  struct Opened {
    std::unique_ptr<StatsFile> file;  ///< null on failure
    Failure failure = Failure::none;
    std::string error;  ///< a sentence with cause and cure
  };

  static Opened open(const std::string& socket_dir);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(region_.get_address()), region_.get_size()};
  }
  /// Whether the kfastd that made the segment still runs: it holds a lock on the file until the
  /// kernel takes it away. This also holds across containers, where a pid means nothing.
  [[nodiscard]] bool writer_is_alive() const noexcept;
  /// Whose file it is.
  [[nodiscard]] uid_t owner() const noexcept { return owner_; }

 private:
  StatsFile(ipc::Fd fd, uid_t owner, boost::interprocess::mapped_region region);
  ipc::Fd fd_;
  uid_t owner_;
  boost::interprocess::mapped_region region_;
};

/// What the segment says now. Opens the file anew: a kfastd that was restarted has made another.
Parsed read_snapshot(const std::string& socket_dir);

}  // namespace kfast::ctl
