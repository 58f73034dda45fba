#include "memory_facts.hpp"

#include <sstream>
#include <string>

namespace kfast::bench {
namespace {

/// What kfastd calls the files of its segments and shard pages; its statistics are no ring.
bool is_ring(const std::string& header) {
  return header.find("/memfd:kfast-") != std::string::npos &&
         header.find("/memfd:kfast-stats") == std::string::npos;
}

}  // namespace

ProcessMemory memory_in(std::istream& mappings) {
  ProcessMemory memory;
  Memory* part = &memory.rest;
  for (std::string line; std::getline(mappings, line);) {
    std::istringstream words(line);
    std::string key;
    double kb = 0;
    words >> key;
    if (key.empty() || key.back() != ':') {  // a mapping's first line: its addresses
      part = is_ring(line) ? &memory.rings : &memory.rest;
      continue;
    }
    words >> kb;
    if (key == "Rss:") {
      part->rss += kb;
    } else if (key == "Private_Clean:" || key == "Private_Dirty:") {
      part->own += kb;
    }
  }
  return memory;
}

}  // namespace kfast::bench
