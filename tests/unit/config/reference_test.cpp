#include <sstream>

#include "config/kafka_properties.hpp"
#include "config/keys.hpp"
#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

TEST(Reference, NamesEveryKeyOnceWithItsDefault) {
  std::ostringstream out;
  print_reference(out);
  const std::string page = out.str();
  for (const Key& key : all_keys()) {
    EXPECT_TRUE(has(page, "| `" + std::string(key.name) + "` |"));
    EXPECT_FALSE(key.meaning.empty());
  }
  EXPECT_TRUE(has(page, "| `socket_dir` | an absolute path | `\"/run/kfast\"` |"));
  EXPECT_TRUE(
      has(page, "| `socket_mode` | octal permissions in quotes, as \"0660\" | `\"0666\"` |"));
  EXPECT_TRUE(has(page, "| `channels` | an integer from 1 to 1000000 | `256` (total: `1024`) |"));
  for (const Reserved& row : reserved_properties()) {
    EXPECT_TRUE(has(page, "| `" + std::string(row.name) + "` |"));
  }
}

TEST(Reference, DefaultsAreWithinTheirRanges) {
  for (const Key& key : all_keys()) {
    if (const auto* number = std::get_if<std::uint64_t Daemon::*>(&key.field)) {
      EXPECT_GE(Daemon{}.*(*number), key.min) << key.name;
      EXPECT_LE(Daemon{}.*(*number), key.max) << key.name;
    }
    if (const auto* number = std::get_if<std::uint64_t Limits::*>(&key.field)) {
      EXPECT_GE(Limits{}.*(*number), key.min) << key.name;
      EXPECT_LE(default_total_limits().*(*number), key.max) << key.name;
    }
  }
}

}  // namespace
}  // namespace kfast::daemon::config
