// One message over the session socket, with the file descriptors that travel with it.
#pragma once

#include <cstddef>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::client {

/// A message as it arrived. Its bytes are at most kMaxMessage; what is behind `size` is zero.
struct Incoming {
  alignas(8) std::byte bytes[ipc::kMaxMessage];
  std::size_t size = 0;
  ipc::Fd fds[ipc::kMaxFds];
  std::size_t fd_count = 0;
  bool cut = false;       // longer than kMaxMessage
  bool fds_lost = false;  // the kernel could not install all descriptors in this process
};

enum class Received { message, nothing, end, failed };

/// Connects to `path` without waiting. Returns the socket, or an invalid Fd and errno.
[[nodiscard]] ipc::Fd connect_to(const char* path) noexcept;

/// Sends one message without waiting. False, with errno: not sent.
[[nodiscard]] bool send_message(int socket, const void* message, std::size_t size, const int* fds,
                                std::size_t fd_count) noexcept;

/// Receives one message without waiting. `failed` leaves errno.
[[nodiscard]] Received receive_message(int socket, Incoming& out) noexcept;

}  // namespace kfast::client
