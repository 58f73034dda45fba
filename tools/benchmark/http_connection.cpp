#include "http_connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "give_up.hpp"

namespace kfast::bench {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kLastChunk = "\r\n0\r\n\r\n";
constexpr std::size_t kStatusAt = std::string_view("HTTP/1.1 ").size();

/// A header's value, or nothing. `name` with the colon.
std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() > name.size() && ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::string_view value = line.substr(name.size(), line.find("\r\n") - name.size());
      return value.substr(std::min(value.find_first_not_of(' '), value.size()));
    }
  }
  return {};
}

}  // namespace

std::string http_request(std::string_view path, std::string_view body, bool post) {
  std::string text(post ? "POST " : "GET ");
  text.append(path).append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  if (post) {
    text.append("Content-Type: application/octet-stream\r\nContent-Length: ");
    text.append(std::to_string(body.size())).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

HttpConnection::HttpConnection(std::uint16_t port)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  if (!fd_.valid() ||
      ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
    give_up("cannot connect to 127.0.0.1:" + std::to_string(port) + ": " + std::strerror(errno));
  }
}

void HttpConnection::send(std::string_view request, std::uint64_t due_ns) {
  due_ns_ = due_ns;
  answer_.clear();
  // The connection is idle, so its buffer has room for all of it.
  if (::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    give_up(std::string("the server does not take a request: ") + std::strerror(errno));
  }
}

bool HttpConnection::is_whole() const {
  const std::string_view text = answer_;
  const std::size_t end = text.find(kHeadEnd);
  if (end == std::string_view::npos) {
    return false;
  }
  const std::string_view head = text.substr(0, end + 2);
  if (header(head, "Transfer-Encoding:") == "chunked") {
    return text.ends_with(kLastChunk);
  }
  const std::string length(header(head, "Content-Length:"));
  return text.size() >= end + kHeadEnd.size() + std::strtoul(length.c_str(), nullptr, 10);
}

int HttpConnection::receive() {
  std::array<char, 4096> bytes;
  const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return 0;
  }
  if (size <= 0) {
    give_up(size == 0 ? "the server closed a connection"
                      : std::string("a connection broke: ") + std::strerror(errno));
  }
  answer_.append(bytes.data(), static_cast<std::size_t>(size));
  return is_whole() ? std::atoi(answer_.c_str() + kStatusAt) : 0;
}

}  // namespace kfast::bench
