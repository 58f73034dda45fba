// One keep-alive HTTP/1.1 connection to 127.0.0.1 of a load generator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kfast/ipc/fd.hpp"

namespace kfast::bench {

/// What the generator sends again and again, with its head.
[[nodiscard]] std::string http_request(std::string_view path, std::string_view body, bool post);

/// A request at a time, one thread. Failures of the connection end the process with a sentence.
class HttpConnection {
 public:
  /// Connects; waits for that.
  explicit HttpConnection(std::uint16_t port);

  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Sends a request whose latency counts from `due_ns`.
  void send(std::string_view request, std::uint64_t due_ns);
  [[nodiscard]] std::uint64_t due_ns() const { return due_ns_; }

  /// Reads what is there. The status once the answer is whole, else 0.
  [[nodiscard]] int receive();

 private:
  [[nodiscard]] bool is_whole() const;

  ipc::Fd fd_;
  std::uint64_t due_ns_ = 0;
  std::string answer_;
};

}  // namespace kfast::bench
