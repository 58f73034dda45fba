// What a keeper holds, and the messages that fill it: sd_notify(3)'s, as systemd answers them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kfast/ipc/fd.hpp"

namespace kfast::daemon::keeper {

/// Descriptors by name, in the order they came. One thread.
class KeptSet {
 public:
  struct Entry {
    std::string name;
    ipc::Fd fd;
  };

  /// Does what the message says with its descriptors; those that are not kept are closed, which is
  /// also the answer to BARRIER=1. Returns the lines that are for whoever started us: all but those
  /// of the store.
  [[nodiscard]] std::string take(std::string_view message, std::vector<ipc::Fd> fds);

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  /// How many of the pidfds among them (kfastd calls a channel's `kf7.pid`) are of processes that
  /// have ended.
  [[nodiscard]] std::size_t channels_without_worker() const;
  /// The names as $LISTEN_FDNAMES has them.
  [[nodiscard]] std::string names() const;

 private:
  void keep(const std::string& name, std::vector<ipc::Fd> fds);

  std::vector<Entry> entries_;
  std::size_t names_bytes_ = 0;
};

}  // namespace kfast::daemon::keeper
