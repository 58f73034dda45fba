// TCP connections, as /proc shows them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <istream>
#include <set>
#include <string>

namespace kfast::bench {

/// The sockets, by inode, of the established connections to this port in a table as
/// /proc/net/tcp and /proc/net/tcp6 have it.
[[nodiscard]] std::set<std::uint64_t> sockets_to(std::istream& table, std::uint16_t port);

/// How many established connections to the first of `brokers` ("host:port,…") the process has.
[[nodiscard]] int connections_to(const std::string& brokers, pid_t pid);

}  // namespace kfast::bench
