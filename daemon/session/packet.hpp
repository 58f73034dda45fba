// Packets with file descriptors over a unix socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::daemon::session {

/// A packet as it came in: any bytes at all, until checked.
struct Packet {
  enum class Status : std::uint8_t { received, nothing, closed };
  Status status = Status::nothing;
  std::size_t size = 0;
  bool truncated = false;  // it was longer than any message, or its descriptors did not fit
  std::array<std::byte, ipc::kMaxMessage> bytes{};
  std::vector<ipc::Fd> fds;
};

/// Receives one packet without blocking.
[[nodiscard]] Packet receive_packet(int socket);

/// Sends one packet without blocking. False: the peer is gone or does not read.
[[nodiscard]] bool send_bytes(int socket, const void* bytes, std::size_t size,
                              std::initializer_list<int> fds = {});

template <class Message>
[[nodiscard]] bool send_message(int socket, const Message& message,
                                std::initializer_list<int> fds = {}) {
  return send_bytes(socket, &message, sizeof message, fds);
}

/// The packet as a message of type T, when it is exactly one.
template <class T>
[[nodiscard]] bool parse(const Packet& packet, T& out) {
  if (packet.truncated || packet.size != sizeof(T)) {
    return false;
  }
  std::memcpy(&out, packet.bytes.data(), sizeof(T));
  return out.head.magic == ipc::kWireMagic && out.head.type == T::kType &&
         out.head.size == sizeof(T);
}

}  // namespace kfast::daemon::session
