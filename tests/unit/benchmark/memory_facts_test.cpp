#include "benchmark/memory_facts.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace kfast::bench {
namespace {

ProcessMemory memory(const std::string& text) {
  std::istringstream mappings(text);
  return memory_in(mappings);
}

constexpr const char* kHeap =
    "55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0                          [heap]\n"
    "Size:                132 kB\n"
    "Rss:                 100 kB\n"
    "Pss:                  90 kB\n"
    "Shared_Clean:          6 kB\n"
    "Private_Clean:         4 kB\n"
    "Private_Dirty:        80 kB\n"
    "VmFlags: rd wr mr mw me ac sd\n";
constexpr const char* kRing =
    "7f0000000000-7f0000441000 rw-s 00000000 00:01 1042            /memfd:kfast-c2d (deleted)\n"
    "Rss:                4096 kB\n"
    "Private_Dirty:      4000 kB\n"
    "VmFlags: rd wr sh\n";
constexpr const char* kLibrary =
    "7f1000000000-7f1000001000 r-xp 00000000 fe:00 9               /usr/lib/libkfast.so.0\n"
    "Rss:                  40 kB\n"
    "Private_Clean:        12 kB\n";
constexpr const char* kStatistics =
    "7f2000000000-7f2000001000 r--s 00000000 00:01 7               /memfd:kfast-stats (deleted)\n"
    "Rss:                   8 kB\n";

TEST(MemoryFacts, AreTheSumsOverMappings) {
  const ProcessMemory m = memory(std::string(kHeap) + kLibrary);
  EXPECT_EQ(m.rest.rss, 140);
  EXPECT_EQ(m.rest.own, 96);
  EXPECT_EQ(m.rings.rss, 0);
}

TEST(MemoryFacts, KeepRingsApartWhereverTheyStand) {
  const ProcessMemory m = memory(std::string(kHeap) + kRing + kLibrary);
  EXPECT_EQ(m.rings.rss, 4096);
  EXPECT_EQ(m.rings.own, 4000);
  EXPECT_EQ(m.rest.rss, 140);
  EXPECT_EQ(m.rest.own, 96);
}

TEST(MemoryFacts, StatisticsAreNoRing) {
  const ProcessMemory m = memory(kStatistics);
  EXPECT_EQ(m.rings.rss, 0);
  EXPECT_EQ(m.rest.rss, 8);
}

}  // namespace
}  // namespace kfast::bench
