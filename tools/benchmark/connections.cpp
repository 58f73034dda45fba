#include "connections.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

namespace kfast::bench {
namespace {

constexpr const char* kEstablished = "01";
constexpr const char* kSocket = "socket:[";

}  // namespace

std::set<std::uint64_t> sockets_to(std::istream& table, std::uint16_t port) {
  std::set<std::uint64_t> inodes;
  for (std::string line; std::getline(table, line);) {
    // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …
    std::istringstream words(line);
    std::string skipped;
    std::string remote;
    std::string state;
    std::uint64_t inode = 0;
    words >> skipped >> skipped >> remote >> state;
    for (int i = 0; i < 5; ++i) {
      words >> skipped;
    }
    const std::size_t colon = remote.find(':');
    if (words >> inode && state == kEstablished && colon != std::string::npos &&
        std::stoul(remote.substr(colon + 1), nullptr, 16) == port) {
      inodes.insert(inode);
    }
  }
  return inodes;
}

int connections_to(const std::string& brokers, pid_t pid) {
  const std::string first = brokers.substr(0, brokers.find(','));
  const auto port = static_cast<std::uint16_t>(std::stoul(first.substr(first.rfind(':') + 1)));
  const std::filesystem::path process = "/proc/" + std::to_string(pid);
  std::set<std::uint64_t> sockets;
  for (const char* table : {"net/tcp", "net/tcp6"}) {
    std::ifstream file(process / table);
    sockets.merge(sockets_to(file, port));
  }
  int count = 0;
  std::error_code gone;
  for (const auto& fd : std::filesystem::directory_iterator(process / "fd", gone)) {
    const std::string target = std::filesystem::read_symlink(fd.path(), gone);
    if (target.starts_with(kSocket)) {
      count += sockets.count(std::stoull(target.substr(std::string(kSocket).size()))) != 0 ? 1 : 0;
    }
  }
  return count;
}

}  // namespace kfast::bench
