#include "config/load.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "config/document.hpp"
#include "config/nearest.hpp"
#include "config/read_file.hpp"
#include "config/read_section.hpp"

namespace kfast::daemon::config {
namespace {

constexpr std::size_t largest_file = 4 << 20;

const std::vector<std::string_view>& sections() {
  static const std::vector<std::string_view> names{"daemon", "clusters", "profiles", "allow",
                                                   "limits"};
  return names;
}

// The sections of the right shape; the others are reported and left out.
struct Sections {
  const Node* daemon = nullptr;
  const Node* clusters = nullptr;
  const Node* profiles = nullptr;
  const Node* allow = nullptr;
  const Node* limits = nullptr;
};

Problem stray_key(const Entry& entry) {
  if (entry.value.kind == Node::Kind::table || entry.value.kind == Node::Kind::array) {
    return Problem{entry.where, "unknown section '" + entry.key + "'",
                   did_you_mean(entry.key, sections(),
                                "sections are: daemon, clusters.NAME, profiles.NAME, allow, "
                                "limits.NAME")};
  }
  return Problem{entry.where, "'" + entry.key + "' stands in no section",
                 find_key(Section::daemon, entry.key) != nullptr
                     ? "write [daemon] above it"
                     : did_you_mean(entry.key, key_names(Section::daemon),
                                    "write its section above it, as [daemon]")};
}

Sections find_sections(const Node& document, Findings& findings) {
  Sections found;
  for (const Entry& entry : document.entries) {
    const Node::Kind kind = entry.value.kind;
    if (std::find(sections().begin(), sections().end(), entry.key) == sections().end()) {
      findings.errors.push_back(stray_key(entry));
      continue;
    }
    const bool is_allow = entry.key == "allow";
    if (kind != (is_allow ? Node::Kind::array : Node::Kind::table)) {
      findings.errors.push_back(
          Problem{entry.where,
                  "'" + entry.key + "' is " + (is_allow ? "a list of tables" : "a table") +
                      ", not " + std::string(kind_name(kind)),
                  is_allow ? "write [[allow]] with two brackets" : "write [" + entry.key + "]"});
      continue;
    }
    const Node*& section = entry.key == "daemon"     ? found.daemon
                           : entry.key == "clusters" ? found.clusters
                           : entry.key == "profiles" ? found.profiles
                           : is_allow                ? found.allow
                                                     : found.limits;
    section = &entry.value;
  }
  return found;
}

void check_whole(const Sections& found, const Config& config, const std::string& file,
                 Findings& findings) {
  if (found.clusters == nullptr) {
    findings.errors.push_back(
        Problem{{file}, "there is no cluster", "add [clusters.main] with \"bootstrap.servers\""});
  }
  if (found.profiles == nullptr) {
    findings.errors.push_back(
        Problem{{file}, "there is no profile", "add [profiles.default] with cluster = \"main\""});
  }
  if (config.allow.empty()) {
    findings.warnings.push_back(Problem{{file},
                                        "there is no [[allow]], so nobody may do anything",
                                        "add one with user = \"...\" and produce = [\"...\"]"});
  }
}

// One pass per section reports in the order of the sections; people read files from the top.
void sort_by_place(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.where.line, a.where.column) < std::tie(b.where.line, b.where.column);
  });
  const auto same = [](const Problem& a, const Problem& b) {
    return a.text == b.text && a.where.line == b.where.line && a.where.column == b.where.column;
  };
  problems.erase(std::unique(problems.begin(), problems.end(), same), problems.end());
}

void warn_readable_secrets(const std::string& path, Loaded& loaded) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || (status.st_mode & S_IROTH) == 0) {
    return;
  }
  const auto warn = [&](const std::vector<Property>& properties) {
    for (const Property& property : properties) {
      if (property.inline_secret) {
        loaded.warnings.push_back(
            Problem{property.where,
                    "every user of this machine can read '" + property.name + "' in this file",
                    "chmod o-r, or use { file = \"...\" }"});
      }
    }
  };
  for (const auto& [name, cluster] : loaded.config.clusters) {
    warn(cluster.properties);
  }
  for (const auto& [name, profile] : loaded.config.profiles) {
    warn(profile.properties);
  }
}

}  // namespace

LoadResult load_text(std::string_view text, const std::string& file, const std::string& directory) {
  const auto document = parse_document(text, file);
  if (!document) {
    return Failure{std::vector<Problem>{document.error()}};
  }
  Findings findings;
  Loaded loaded;
  Config& config = loaded.config;
  const Sections found = find_sections(*document, findings);
  if (found.daemon != nullptr) {
    read_daemon(*found.daemon, config, findings);
  }
  if (found.clusters != nullptr) {
    read_clusters(*found.clusters, directory, config, findings);
  }
  if (found.profiles != nullptr) {
    read_profiles(*found.profiles, directory, config, findings);
  }
  if (found.allow != nullptr) {
    read_allow(*found.allow, config, findings);
  }
  if (found.limits != nullptr) {
    read_limits(*found.limits, config, findings);
  }
  check_whole(found, config, file, findings);
  sort_by_place(findings.errors);
  sort_by_place(findings.warnings);
  if (!findings.errors.empty()) {
    return Failure{std::move(findings.errors)};
  }
  loaded.warnings = std::move(findings.warnings);
  return loaded;
}

LoadResult load(const std::string& path) {
  const auto text = read_file(path, largest_file);
  if (!text) {
    return Failure{std::vector<Problem>{
        Problem{{},
                "the configuration cannot be read: " + text.error(),
                "name a file that kfastd's user can read with --config, or try kfastd --dev"}}};
  }
  const auto slash = path.rfind('/');
  auto loaded = load_text(*text, path, slash == std::string::npos ? "." : path.substr(0, slash));
  if (loaded) {
    warn_readable_secrets(path, *loaded);
  }
  return loaded;
}

Config dev_config(const std::string& bootstrap_servers, const std::string& socket_dir) {
  Config config;
  config.daemon.socket_dir = socket_dir;
  config.clusters["main"] = Cluster{"main", {Property{"bootstrap.servers", bootstrap_servers}}, {}};
  config.profiles["default"] = Profile{"default", "main", {Property{"linger.ms", "5"}}, {}};
  Allow own;
  own.uid = ::geteuid();
  own.who = "uid " + std::to_string(*own.uid);
  own.produce = own.consume = own.groups = {"*"};
  config.allow.push_back(std::move(own));
  return config;
}

}  // namespace kfast::daemon::config
