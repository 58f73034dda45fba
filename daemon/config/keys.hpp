// Every key of the file that is ours, declared once: the parser, the check for unknown keys and
// the reference page all come from this table.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.hpp"

namespace kfast::daemon::config {

enum class Section { daemon, profiles, allow, limits };
/// `mode` is file permissions as octal text ("0660"); `choice` is one of the words in `choices`.
enum class Type { text, path, integer, mode, choice, boolean, patterns };

/// Where a key's value goes; keys without a field are read by the code of their section.
using Field = std::variant<std::monostate, std::string Daemon::*, std::uint64_t Daemon::*,
                           std::uint64_t Limits::*>;

struct Key {
  Section section;
  std::string_view name;
  Type type;
  std::uint64_t min;         ///< of an integer
  std::uint64_t max;         ///< of an integer
  std::string_view choices;  ///< of a choice, separated by spaces
  std::string_view meaning;  ///< one line, with the unit
  Field field;               ///< its default is what a fresh struct holds there
};

std::span<const Key> all_keys();
/// The names of a section's keys.
std::vector<std::string_view> key_names(Section section);
/// That key, or null.
const Key* find_key(Section section, std::string_view name);
/// "[daemon]", "[profiles.NAME]" ...
std::string_view section_name(Section section);
/// "an integer from 1 to 64", "one of trace, debug": for messages and the reference.
std::string expected(const Key& key);

/// The reference page in Markdown: our keys, our Kafka defaults, and the properties that are
/// reserved or weaken a promise.
void print_reference(std::ostream& out);

}  // namespace kfast::daemon::config
