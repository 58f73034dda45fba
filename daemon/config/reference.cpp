// The reference page, from the tables that the parser uses.
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <string>
#include <variant>

#include "config/kafka_properties.hpp"
#include "config/keys.hpp"

namespace kfast::daemon::config {
namespace {

std::string shown_integer(const Key& key, std::uint64_t value) {
  if (key.type != Type::mode) {
    return std::to_string(value);
  }
  std::string octal;
  for (int shift = 6; shift >= 0; shift -= 3) {
    octal += static_cast<char>('0' + ((value >> shift) & 7U));
  }
  return "\"0" + octal + "\"";
}

std::string shown_default(const Key& key) {
  if (const auto* text = std::get_if<std::string Daemon::*>(&key.field)) {
    return "`\"" + Daemon{}.*(*text) + "\"`";
  }
  if (const auto* number = std::get_if<std::uint64_t Daemon::*>(&key.field)) {
    return "`" + shown_integer(key, Daemon{}.*(*number)) + "`";
  }
  if (const auto* number = std::get_if<std::uint64_t Limits::*>(&key.field)) {
    const std::uint64_t total = default_total_limits().*(*number);
    return "`" + std::to_string(Limits{}.*(*number)) + "` (total: `" + std::to_string(total) + "`)";
  }
  return "none";
}

void print_section(std::ostream& out, Section section) {
  out << "## " << section_name(section) << "\n\n";
  out << "| key | type and range | default | meaning |\n|---|---|---|---|\n";
  for (const Key& key : all_keys()) {
    if (key.section == section) {
      out << "| `" << key.name << "` | " << expected(key) << " | " << shown_default(key) << " | "
          << key.meaning << " |\n";
    }
  }
  out << '\n';
}

void print_kafka(std::ostream& out) {
  out << "## [clusters.NAME]\n\n"
         "Properties of librdkafka, in quotes (`\"bootstrap.servers\" = \"k1:9092\"`) or plainly "
         "(`linger.ms = 5`).\n"
         "A secret is `{ file = \"...\" }` (relative to this file), `{ env = \"...\" }` or "
         "`{ credential = \"...\" }` (systemd's); it is never printed.\n\n";
  print_section(out, Section::profiles);
  out << "Everything else in a profile is a property of librdkafka, over those of its cluster.\n\n";
  out << "### What kfastd sets where you say nothing\n\n| property | value | why "
         "|\n|---|---|---|\n";
  for (const KafkaDefault& row : kafka_defaults()) {
    out << "| `" << row.name << "` | `" << row.value << "` | " << row.why << " |\n";
  }
  out << "\n### Refused\n\n| property | why |\n|---|---|\n";
  for (const Reserved& row : reserved_properties()) {
    out << "| `" << row.name << "` | " << row.why << " |\n";
  }
  out << "\n### Allowed, and named by `--check-config` because they weaken a promise\n\n"
         "| property | value | promise | consequence |\n|---|---|---|---|\n";
  for (const Weakening& row : weakenings()) {
    out << "| `" << row.name << "` | " << row.values << " | " << row.row << " | " << row.consequence
        << " |\n";
  }
  out << '\n';
}

}  // namespace

void print_reference(std::ostream& out) {
  out << "# Configuration\n\nOne TOML file. An unknown key is an error.\n\n";
  print_section(out, Section::daemon);
  print_kafka(out);
  print_section(out, Section::allow);
  out << "What no rule allows is refused; the rules that match a worker add up. A pattern is a "
         "name in which `*` matches any run of characters (none too) and everything else stands "
         "for itself: `logs.*` is every name that begins with `logs.`.\n\n";
  print_section(out, Section::limits);
  out << "`[limits.USER]` is for that user, `[limits.default]` for everybody without one, and "
         "`[limits.total]` for all together. A user's table inherits what it does not say from "
         "`[limits.default]`.\n";
}

}  // namespace kfast::daemon::config
