// What the shared library exports and what it needs.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "kfast/kfast.h"

namespace {

// Programs that are built today are linked with libraries of later days.
static_assert(sizeof(kfast_report_t) == 32 && sizeof(kfast_header_t) == 32);
static_assert(sizeof(kfast_record_t) == 80 && offsetof(kfast_record_t, timestamp_ms) == 48 &&
              offsetof(kfast_record_t, opaque) == 56 && offsetof(kfast_record_t, position) == 64 &&
              offsetof(kfast_record_t, topic) == 72 && offsetof(kfast_record_t, partition) == 76);

std::string run(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    return output;
  }
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    output.append(buffer, got);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return output;
}

std::set<std::string> all_matches(const std::string& text, const std::string& pattern) {
  std::set<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

TEST(Abi, ExportsExactlyTheFunctionsOfTheHeader) {
  std::ifstream file(KFAST_HEADER);
  std::stringstream header;
  header << file.rdbuf();
  const auto declared = all_matches(header.str(), R"(KFAST_API [^;(]*?(kfast_[a-z_]+)\()");
  ASSERT_GT(declared.size(), 10U);
  const std::string symbols = run(KFAST_READELF " --dyn-syms --wide " KFAST_LIBRARY);
  // Num: Value Size Type Bind Vis Ndx Name: what has a section index is defined here.
  const auto exported = all_matches(
      symbols,
      R"((?:FUNC|OBJECT|NOTYPE|IFUNC)\s+(?:GLOBAL|WEAK|UNIQUE)\s+DEFAULT\s+\d+\s+([^\s@]+)@@KFAST_0)");
  EXPECT_EQ(exported, declared);
  const auto anything = all_matches(
      symbols,
      R"((?:FUNC|OBJECT|NOTYPE|IFUNC|TLS)\s+(?:GLOBAL|WEAK|UNIQUE)\s+DEFAULT\s+\d+\s+([^\s@]+))");
  EXPECT_EQ(anything, declared);
}

TEST(Abi, NeedsLibcAndNothingElse) {
  const std::string dynamic = run(KFAST_READELF " --dynamic --wide " KFAST_LIBRARY);
  EXPECT_EQ(all_matches(dynamic, R"(\(NEEDED\)\s+Shared library: \[([^\]]+)\])"),
            std::set<std::string>{"libc.so.6"});
  EXPECT_EQ(all_matches(dynamic, R"(\(SONAME\)\s+Library soname: \[([^\]]+)\])"),
            std::set<std::string>{"libkfast.so.0"});
}

}  // namespace
