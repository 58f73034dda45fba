#include "config/read_section.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "config/nearest.hpp"

namespace kfast::daemon::config {
namespace {

std::optional<std::uint64_t> parse_mode(const std::string& text) {
  const bool octal = !text.empty() && text.size() <= 4 &&
                     std::all_of(text.begin(), text.end(),
                                 [](char digit) { return digit >= '0' && digit <= '7'; });
  return octal ? std::optional<std::uint64_t>(std::stoul(text, nullptr, 8)) : std::nullopt;
}

bool is_choice(const Key& key, const std::string& text) {
  const std::string choices = " " + std::string(key.choices) + " ";
  return !text.empty() && text.find(' ') == std::string::npos &&
         choices.find(" " + text + " ") != std::string::npos;
}

std::optional<std::uint64_t> integer_of(const Node& node, const Key& key) {
  std::optional<std::uint64_t> value;
  if (key.type == Type::mode && node.kind == Node::Kind::text) {
    value = parse_mode(node.text);
  } else if (key.type == Type::integer && node.kind == Node::Kind::integer && node.integer >= 0) {
    value = static_cast<std::uint64_t>(node.integer);
  }
  return value && *value >= key.min && *value <= key.max ? value : std::nullopt;
}

std::optional<std::string> text_of(const Node& node, const Key& key) {
  if (node.kind != Node::Kind::text || node.text.find('\0') != std::string::npos ||
      (key.type == Type::path && !node.text.starts_with('/')) ||
      (key.type == Type::choice && !is_choice(key, node.text))) {
    return std::nullopt;
  }
  return node.text;
}

// Puts the value where the key's field says; false where it does not fit.
template <class Struct>
bool assign(const Node& node, const Key& key, Struct& into) {
  if (const auto* field = std::get_if<std::uint64_t Struct::*>(&key.field)) {
    const auto value = integer_of(node, key);
    if (value) {
      into.*(*field) = *value;
    }
    return value.has_value();
  }
  if constexpr (std::is_same_v<Struct, Daemon>) {
    if (const auto* field = std::get_if<std::string Daemon::*>(&key.field)) {
      auto value = text_of(node, key);
      if (!value) {
        return false;
      }
      into.*(*field) = *std::move(value);
      return true;
    }
  }
  return false;
}

template <class Struct>
void read_fields(const Node& table, Section section, const std::string& shown, Struct& into,
                 Findings& findings) {
  for (const Entry& entry : table.entries) {
    const Key* key = find_key(section, entry.key);
    if (key == nullptr) {
      findings.errors.push_back(unknown_key(entry, section));
    } else if (!assign(entry.value, *key, into)) {
      findings.errors.push_back(wrong_value(entry, *key, shown));
    }
  }
}

}  // namespace

Problem wrong_value(const Entry& entry, const Key& key, std::string_view section) {
  const bool integer = entry.value.kind == Node::Kind::integer;
  const std::string found =
      integer ? std::to_string(entry.value.integer) : std::string(kind_name(entry.value.kind));
  return Problem{entry.value.where,
                 "'" + entry.key + "' in " + std::string(section) + " is " + expected(key) +
                     ", not " + (entry.value.kind == Node::Kind::text ? "this text" : found),
                 ""};
}

Problem unknown_key(const Entry& entry, Section section) {
  const auto known = key_names(section);
  std::string all = "known are:";
  for (std::string_view name : known) {
    all += " " + std::string(name);
  }
  return Problem{entry.where,
                 "unknown key '" + entry.key + "' in " + std::string(section_name(section)),
                 did_you_mean(entry.key, known, all)};
}

void read_daemon(const Node& table, Config& config, Findings& findings) {
  read_fields(table, Section::daemon, "[daemon]", config.daemon, findings);
  if (config.daemon.shards > 1) {
    const Entry* entry = table.find("shards");
    findings.errors.push_back(Problem{entry->value.where,
                                      "'shards = " + std::to_string(config.daemon.shards) +
                                          "': this version of kfastd runs one shard",
                                      "set it to 1 or take it out"});
  }
}

void read_limits(const Node& table, Config& config, Findings& findings) {
  const auto read = [&](const Entry& entry, const Limits& base) {
    const std::string shown = "[limits." + entry.key + "]";
    if (entry.value.kind != Node::Kind::table) {
      std::string cure = "write " + shown + " with its keys below";
      if (find_key(Section::limits, entry.key) != nullptr) {
        cure = "write [limits.default] above it";
      }
      findings.errors.push_back(Problem{entry.where,
                                        "'" + entry.key + "' in [limits] is a table, not " +
                                            std::string(kind_name(entry.value.kind)),
                                        cure});
      return;
    }
    Limits limits = base;
    read_fields(entry.value, Section::limits, shown, limits, findings);
    config.limits[entry.key] = limits;
  };
  if (const Entry* entry = table.find("default")) {
    read(*entry, Limits{});
  }
  const Limits base = config.limits.at("default");
  for (const Entry& entry : table.entries) {
    if (entry.key != "default") {
      read(entry, entry.key == "total" ? default_total_limits() : base);
    }
  }
}

}  // namespace kfast::daemon::config
