// A process's memory, as /proc shows it.
#pragma once

#include <istream>

namespace kfast::bench {

/// In KB.
struct Memory {
  double rss = 0;
  double own = 0;  // what nobody else maps
};

struct ProcessMemory {
  Memory rings;  // kfast's segments and shard pages
  Memory rest;
};

/// The sums over a list of mappings as /proc/PID/smaps has it.
[[nodiscard]] ProcessMemory memory_in(std::istream& mappings);

}  // namespace kfast::bench
