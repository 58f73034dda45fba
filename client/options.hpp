// The options of a producer, by name.
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <cstdint>

#include "error_text.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::client {

/// Room for a directory in front of "/kfastd.sock" in a sockaddr_un, NUL included.
inline constexpr std::size_t kSocketDirText =
    sizeof(sockaddr_un::sun_path) - sizeof(ipc::kSessionSocketName);

/// A plain set of values, all at their defaults when new. Not thread-safe.
class Options {
 public:
  /// Sets one option. Returns 0, KFAST_ERR_UNKNOWN_OPTION or KFAST_ERR_INVALID with a sentence in
  /// `why`.
  int set(const char* name, const char* value, ErrorText& why) noexcept;

  /// Puts `socket.dir` where the environment says when nobody has set it, and `program` to the
  /// process's name. Returns 0 or KFAST_ERR_INVALID.
  int resolve(ErrorText& why) noexcept;

  [[nodiscard]] const char* profile() const noexcept { return profile_; }
  [[nodiscard]] const char* socket_dir() const noexcept { return socket_dir_; }
  [[nodiscard]] const char* program() const noexcept { return program_; }
  [[nodiscard]] std::uint64_t ring_bytes() const noexcept { return ring_bytes_; }
  [[nodiscard]] std::uint64_t report_bytes() const noexcept;
  [[nodiscard]] std::uint32_t topics() const noexcept { return topics_; }
  [[nodiscard]] ipc::ReportsMode reports() const noexcept { return reports_; }
  [[nodiscard]] bool thread_safe() const noexcept { return thread_safe_; }
  [[nodiscard]] std::int64_t connect_timeout_ms() const noexcept { return connect_timeout_ms_; }

 private:
  char profile_[ipc::kNameText] = "default";
  char socket_dir_[kSocketDirText] = "";  // empty: not set
  char program_[ipc::kNameText] = "";     // empty: not set
  std::uint64_t ring_bytes_ = ipc::kDefaultC2dRingBytes;
  std::uint64_t report_bytes_ = 0;  // 0: a quarter of the ring
  std::uint32_t topics_ = ipc::kDefaultTopicCapacity;
  ipc::ReportsMode reports_ = ipc::ReportsMode::all;
  bool thread_safe_ = false;
  std::int64_t connect_timeout_ms_ = 5000;
};

}  // namespace kfast::client
