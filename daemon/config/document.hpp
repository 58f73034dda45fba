// A TOML file as a plain tree in the file's order: the only view of TOML the daemon has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"
#include "config/result.hpp"

namespace kfast::daemon::config {

struct Entry;

/// One TOML value. `text`, `integer`, `real`, `boolean` hold it according to `kind`.
struct Node {
  enum class Kind { table, array, text, integer, real, boolean, date };

  Kind kind = Kind::table;
  Where where;
  std::string text;
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  bool inline_table = false;   ///< written as { ... }: a value, not a section
  std::vector<Entry> entries;  ///< of a table, in the order of the file
  std::vector<Node> items;     ///< of an array

  /// The entry of that name in a table, or null.
  [[nodiscard]] const Entry* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Where where;  ///< of the key
  Node value;
};

/// "a table", "a string" ...: for messages, which must not print a value.
std::string_view kind_name(Node::Kind kind);

/// Parses TOML text; `file` is used in positions only. The error never quotes the text,
/// because what could not be parsed may be a password.
Result<Node, Problem> parse_document(std::string_view text, const std::string& file);

}  // namespace kfast::daemon::config
