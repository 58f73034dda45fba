// [[allow]]: who may do what.
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/read_section.hpp"

namespace kfast::daemon::config {
namespace {

constexpr std::size_t first_buffer = std::size_t{64} * 1024;
constexpr std::size_t largest_buffer = std::size_t{16} * 1024 * 1024;  // a group's members are many
constexpr std::int64_t nobody = 65534;

/// An entry of the machine's users or groups. Nothing where there is none; an error of errno where
/// that could not be found out, which is not the same: a user whom nobody can look up at the moment
/// must not lose what it is allowed.
template <typename Id>
struct Lookup {
  std::optional<Id> id;
  int error = 0;
};

template <typename Id, typename Entry>
Lookup<Id> look_up(const std::string& name,
                   int (*call)(const char*, Entry*, char*, std::size_t, Entry**),
                   Id Entry::*member) {
  int error = ERANGE;
  for (std::size_t size = first_buffer; error == ERANGE && size <= largest_buffer; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry{};
    Entry* found = nullptr;
    error = call(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) {
      return {found->*member, 0};
    }
  }
  // getpwnam_r(3): "0 or ENOENT or ESRCH or EBADF or EPERM or ..." where the name was not found.
  const bool unknown =
      error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
  return {std::nullopt, unknown ? 0 : error};
}

bool is_topic_pattern(const std::string& pattern) {
  constexpr std::size_t longest_topic = 249;
  return !pattern.empty() && pattern.size() <= longest_topic &&
         std::all_of(pattern.begin(), pattern.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '*';
         });
}

std::vector<std::string> read_patterns(const Entry& entry, bool topics, Findings& findings) {
  const Key& key = *find_key(Section::allow, entry.key);
  std::vector<std::string> patterns;
  if (entry.value.kind != Node::Kind::array) {
    findings.errors.push_back(wrong_value(entry, key, "[[allow]]"));
    return patterns;
  }
  for (const Node& item : entry.value.items) {
    if (item.kind != Node::Kind::text || item.text.empty()) {
      findings.errors.push_back(Problem{
          item.where, "'" + entry.key + "' in [[allow]] is " + expected(key), "quote each name"});
    } else if (topics && !is_topic_pattern(item.text)) {
      findings.errors.push_back(
          Problem{item.where, "'" + item.text + "' in [[allow]] can match no topic",
                  "a topic has letters, digits, '.', '_' and '-', at most 249; '*' matches any run "
                  "of them"});
    } else {
      patterns.push_back(item.text);
    }
  }
  return patterns;
}

void warn_unknown(const Entry& entry, Findings& findings) {
  findings.warnings.push_back(Problem{
      entry.value.where,
      "this machine knows no " + entry.key + " '" + entry.value.text + "': the rule matches nobody",
      "create it and reload, or correct the name"});
}

void read_who(const Entry& entry, Allow& rule, Findings& findings) {
  const Node& value = entry.value;
  const Key& key = *find_key(Section::allow, entry.key);
  if (entry.key == "uid") {
    if (value.kind != Node::Kind::integer || value.integer < 0 ||
        static_cast<std::uint64_t>(value.integer) > key.max) {
      findings.errors.push_back(wrong_value(entry, key, "[[allow]]"));
      return;
    }
    rule.who = "uid " + std::to_string(value.integer);
    rule.uid = static_cast<uid_t>(value.integer);
  } else {
    if (value.kind != Node::Kind::text || value.text.empty()) {
      findings.errors.push_back(wrong_value(entry, key, "[[allow]]"));
      return;
    }
    rule.who = entry.key + " " + value.text;
    int error = 0;
    if (entry.key == "user") {
      const auto found = look_up(value.text, ::getpwnam_r, &passwd::pw_uid);
      rule.uid = found.id;
      error = found.error;
    } else {
      const auto found = look_up(value.text, ::getgrnam_r, &group::gr_gid);
      rule.gid = found.id;
      error = found.error;
    }
    if (error != 0) {
      findings.errors.push_back(
          Problem{value.where, "cannot look up " + rule.who + ": " + std::strerror(error),
                  "see to it that `getent` answers (LDAP, sssd), or write the rule with uid"});
    } else if (!rule.uid && !rule.gid) {
      warn_unknown(entry, findings);
    }
  }
  if ((rule.uid && *rule.uid == nobody) || (rule.gid && *rule.gid == nobody)) {
    findings.errors.push_back(
        Problem{value.where,
                rule.who + " is what strangers of other namespaces look like (65534): nothing can "
                           "be allowed to it",
                "run the worker as a user of its own"});
  }
}

void read_trusted(const Entry& entry, Allow& rule, Findings& findings) {
  if (entry.value.kind != Node::Kind::boolean) {
    findings.errors.push_back(
        wrong_value(entry, *find_key(Section::allow, entry.key), "[[allow]]"));
    return;
  }
  rule.trusted = entry.value.boolean;
}

void read_rule(const Node& table, Config& config, Findings& findings) {
  Allow rule;
  rule.where = table.where;
  std::size_t principals = 0;
  for (const Entry& entry : table.entries) {
    if (entry.key == "user" || entry.key == "uid" || entry.key == "group") {
      ++principals;
      read_who(entry, rule, findings);
    } else if (entry.key == "produce") {
      rule.produce = read_patterns(entry, true, findings);
    } else if (entry.key == "consume") {
      rule.consume = read_patterns(entry, true, findings);
    } else if (entry.key == "groups") {
      rule.groups = read_patterns(entry, false, findings);
    } else if (entry.key == "trusted") {
      read_trusted(entry, rule, findings);
    } else {
      findings.errors.push_back(unknown_key(entry, Section::allow));
    }
  }
  if (principals != 1) {
    findings.errors.push_back(
        Problem{table.where,
                principals == 0 ? "this [[allow]] does not say whom it is for"
                                : "this [[allow]] is for more than one of user, uid, group",
                "write exactly one of user, uid, group; one [[allow]] for each"});
  }
  if (rule.produce.empty() && rule.consume.empty() && rule.groups.empty()) {
    findings.warnings.push_back(
        Problem{table.where, "this [[allow]] allows nothing", "add produce, consume or groups"});
  }
  config.allow.push_back(std::move(rule));
}

}  // namespace

void read_allow(const Node& list, Config& config, Findings& findings) {
  for (const Node& item : list.items) {
    if (item.kind != Node::Kind::table) {
      findings.errors.push_back(Problem{item.where, "each entry of [[allow]] is a table",
                                        "write [[allow]] and its keys below"});
      continue;
    }
    read_rule(item, config, findings);
  }
}

}  // namespace kfast::daemon::config
