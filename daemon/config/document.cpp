// The one file that compiles toml++: it is slow to compile and its types stay in here.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
// toml++ asserts of files what it goes on to check: "[[[" would end a kfastd that reads it. Without
// assertions it tells the compiler that such files do not exist. Neither of both, in any build.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#include "config/document.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace kfast::daemon::config {
namespace {

Where where_of(const toml::source_region& region, const std::string& file) {
  return Where{file, static_cast<unsigned>(region.begin.line),
               static_cast<unsigned>(region.begin.column)};
}

bool earlier(const Where& left, const Where& right) {
  return std::pair(left.line, left.column) < std::pair(right.line, right.column);
}

/// Each part of a dotted key is a table in a table, in toml++, which bounds how deep other values
/// nest, but not these, and recurses.
constexpr int kMostKeyParts = 32;

/// The first line whose keys have more parts in all; 0: none. Dots in strings and comments do not
/// count.
unsigned line_of_deep_key(std::string_view text) {
  unsigned line = 1;
  int dots = 0;
  char quote = 0;  // that the string we are in began with
  bool comment = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') {
      ++line;
      dots = 0;
      quote = 0;
      comment = false;
    } else if (quote != 0) {
      at += quote == '"' && c == '\\' ? 1U : 0U;  // what is escaped ends no string
      quote = c == quote ? '\0' : quote;
    } else if (!comment && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '#') {
      comment = true;
    } else if (c == '.' && !comment && ++dots >= kMostKeyParts) {
      return line;
    }
  }
  return 0;
}

// Recursion is bounded, as how deep values and keys nest is.
Node convert(const toml::node& from, const std::string& file) {
  Node node;
  node.where = where_of(from.source(), file);
  if (const toml::table* table = from.as_table()) {
    node.kind = Node::Kind::table;
    node.inline_table = table->is_inline();
    for (auto&& [key, value] : *table) {
      node.entries.push_back(
          Entry{std::string(key.str()), where_of(key.source(), file), convert(value, file)});
    }
    std::sort(node.entries.begin(), node.entries.end(),
              [](const Entry& a, const Entry& b) { return earlier(a.where, b.where); });
  } else if (const toml::array* array = from.as_array()) {
    node.kind = Node::Kind::array;
    for (auto&& item : *array) {
      node.items.push_back(convert(item, file));
    }
  } else if (const auto* text = from.as_string()) {
    node.kind = Node::Kind::text;
    node.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    node.kind = Node::Kind::integer;
    node.integer = integer->get();
  } else if (const auto* real = from.as_floating_point()) {
    node.kind = Node::Kind::real;
    node.real = real->get();
  } else if (const auto* boolean = from.as_boolean()) {
    node.kind = Node::Kind::boolean;
    node.boolean = boolean->get();
  } else {
    node.kind = Node::Kind::date;
  }
  return node;
}

Problem problem_of(const toml::parse_error& error, const std::string& file) {
  std::string text(error.description());
  std::string cure;
  if (text.find("not representable") != std::string::npos) {
    text = "Error while parsing value: the integer does not fit into 64 bits";
    cure = "write it smaller, or in quotes if it is text";
  }
  text = text.substr(0, text.find(", saw "));
  if (text.find("could not determine value type") != std::string::npos) {
    cure = "text needs quotes: name = \"value\"";
  } else if (text.find("cannot redefine") != std::string::npos) {
    cure = "it is said twice: keep one of the two";
  } else if (cure.empty()) {
    cure = "this line is not TOML (see toml.io)";
  }
  return Problem{where_of(error.source(), file), text, cure};
}

}  // namespace

const Entry* Node::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::string_view kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::table:
      return "a table";
    case Node::Kind::array:
      return "a list";
    case Node::Kind::text:
      return "a string";
    case Node::Kind::integer:
      return "an integer";
    case Node::Kind::real:
      return "a decimal number";
    case Node::Kind::boolean:
      return "true or false";
    case Node::Kind::date:
      return "a date or time";
  }
  std::abort();
}

Result<Node, Problem> parse_document(std::string_view text, const std::string& file) {
  if (const unsigned line = line_of_deep_key(text); line != 0) {
    return Failure{Problem{Where{file, line, 1},
                           "a key of " + std::to_string(kMostKeyParts) + " parts or more",
                           "no key of kfastd's has so many: remove it, or quote text"}};
  }
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    return Failure{problem_of(parsed.error(), file)};
  }
  return convert(parsed.table(), file);
}

}  // namespace kfast::daemon::config
