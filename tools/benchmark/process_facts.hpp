// What the kernel says of a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "memory_facts.hpp"

namespace kfast::bench {

struct ThreadFacts {
  pid_t tid = 0;
  std::string name;
  double cpu_seconds = 0;
  std::uint64_t sleeps = 0;  // voluntary context switches: each is followed by a wake-up
};

/// CPU time of all of its threads, user and system, in seconds. Ends this process where there is no
/// such process.
[[nodiscard]] double cpu_seconds(pid_t pid);

/// Its threads as they are now, by number.
[[nodiscard]] std::vector<ThreadFacts> threads_of(pid_t pid);

/// Ends this process where the other one's memory cannot be read.
[[nodiscard]] ProcessMemory memory_of(pid_t pid);

/// kfastd's shards, by name.
[[nodiscard]] bool is_shard(const ThreadFacts& thread);
/// librdkafka's own, by name, in whatever process.
[[nodiscard]] bool is_librdkafka(const ThreadFacts& thread);

}  // namespace kfast::bench
