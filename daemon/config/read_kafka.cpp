// [clusters.*] and [profiles.*]: Kafka's properties under Kafka's names.
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/kafka_catalogue.hpp"
#include "config/kafka_conf.hpp"
#include "config/kafka_properties.hpp"
#include "config/nearest.hpp"
#include "config/read_section.hpp"
#include "config/secrets.hpp"

namespace kfast::daemon::config {
namespace {

/// What tells the file that a property names from another one, or from other text in it: a
/// certificate that was renewed has the same path. Empty where it names none that is there.
std::string file_state(const Property& property) {
  const bool names_file =
      property.name.ends_with(".location") || property.name.ends_with(".keytab");
  struct stat state {};
  if (!names_file || ::stat(property.value.c_str(), &state) != 0) {
    return {};
  }
  std::string text;
  for (const std::uint64_t each :
       {std::uint64_t{state.st_dev}, std::uint64_t{state.st_ino},
        static_cast<std::uint64_t>(state.st_size), static_cast<std::uint64_t>(state.st_mtim.tv_sec),
        static_cast<std::uint64_t>(state.st_mtim.tv_nsec)}) {
    text += std::to_string(each) + " ";
  }
  return text;
}

struct Reader {
  const std::string& directory;
  Findings& findings;
  bool in_profile;
  std::vector<Property> properties;

  void fail(const Where& where, std::string text, std::string cure) const {
    findings.errors.push_back(Problem{where, std::move(text), std::move(cure)});
  }

  void add(Property property) {
    const std::string_view name = canonical(property.name);
    for (const Property& other : properties) {
      if (canonical(other.name) == name) {
        fail(property.where,
             other.name == property.name
                 ? "'" + property.name + "' is said twice here"
                 : "'" + other.name + "' and '" + property.name + "' are the same property",
             "keep one of the two");
        return;
      }
    }
    if (auto problem = check_property(property, in_profile)) {
      findings.errors.push_back(*std::move(problem));
      return;
    }
    property.file_state = file_state(property);
    properties.push_back(std::move(property));
  }

  void add_secret(const std::string& name, const Where& where, const Node& table) {
    auto secret = read_secret(table, directory);
    if (!secret) {
      Problem problem = secret.error();
      problem.text = "'" + name + "': " + problem.text;
      findings.errors.push_back(std::move(problem));
      return;
    }
    for (const std::string& warning : secret->warnings) {
      findings.warnings.push_back(Problem{table.where, "'" + name + "': " + warning, "chmod o-r"});
    }
    add(Property{name, secret->value, true, where});
  }

  // Unquoted dotted keys (linger.ms = 5) are nested tables to TOML: their names are joined again.
  void read(const std::string& name, const Entry& entry) {
    const Node& value = entry.value;
    const bool secret = is_secret(name);
    Property property{name, "", secret, entry.where, secret};
    switch (value.kind) {
      case Node::Kind::text:
        property.value = value.text;
        break;
      case Node::Kind::integer:
        property.value = std::to_string(value.integer);
        break;
      case Node::Kind::boolean:
        property.value = value.boolean ? "true" : "false";
        break;
      case Node::Kind::real: {
        char text[64];
        std::snprintf(text, sizeof text, "%.15g", value.real);
        property.value = text;
        break;
      }
      case Node::Kind::table:
        if (value.inline_table) {
          add_secret(name, entry.where, value);
          return;
        }
        for (const Entry& inner : value.entries) {
          read(name + "." + inner.key, inner);
        }
        return;
      case Node::Kind::array:
      case Node::Kind::date:
        fail(value.where,
             "'" + name + "' is a string, a number, true or false, or a secret's place, not " +
                 std::string(kind_name(value.kind)),
             value.kind == Node::Kind::array ? "join a list with commas: \"a,b\""
                                             : "put it in quotes");
        return;
    }
    add(std::move(property));
  }
};

bool is_table(const Entry& entry, const std::string& section, Findings& findings) {
  if (entry.value.kind == Node::Kind::table) {
    return true;
  }
  findings.errors.push_back(Problem{entry.where,
                                    "'" + entry.key + "' stands in [" + section + "] itself",
                                    "give it a name: [" + section + ".main] above it"});
  return false;
}

std::vector<std::string_view> cluster_names(const Config& config) {
  std::vector<std::string_view> names;
  for (const auto& [name, cluster] : config.clusters) {
    names.emplace_back(name);
  }
  return names;
}

void read_cluster_of(const Entry& entry, Profile& profile, const Config& config,
                     Findings& findings) {
  if (entry.value.kind != Node::Kind::text) {
    findings.errors.push_back(wrong_value(entry, *find_key(Section::profiles, "cluster"),
                                          "[profiles." + profile.name + "]"));
    return;
  }
  profile.cluster = entry.value.text;
  if (!config.clusters.contains(profile.cluster)) {
    std::string all =
        config.clusters.empty() ? "add [clusters." + profile.cluster + "]" : "known are:";
    for (std::string_view name : cluster_names(config)) {
      all += " " + std::string(name);
    }
    findings.errors.push_back(Problem{
        entry.value.where,
        "profile '" + profile.name + "' is on the unknown cluster '" + profile.cluster + "'",
        did_you_mean(profile.cluster, cluster_names(config), all)});
  }
}

}  // namespace

void read_clusters(const Node& table, const std::string& directory, Config& config,
                   Findings& findings) {
  for (const Entry& entry : table.entries) {
    if (!is_table(entry, "clusters", findings)) {
      continue;
    }
    const std::size_t errors_before = findings.errors.size();
    Reader reader{directory, findings, false, {}};
    bool has_brokers = false;
    for (const Entry& inner : entry.value.entries) {
      reader.read(inner.key, inner);
    }
    for (const Property& property : reader.properties) {
      has_brokers = has_brokers || canonical(property.name) == "metadata.broker.list";
    }
    if (!has_brokers && findings.errors.size() == errors_before) {
      reader.fail(entry.where, "cluster '" + entry.key + "' does not say its brokers",
                  "add \"bootstrap.servers\" = \"host:9092\"");
    }
    config.clusters[entry.key] = Cluster{entry.key, std::move(reader.properties), entry.where};
  }
}

void read_profiles(const Node& table, const std::string& directory, Config& config,
                   Findings& findings) {
  for (const Entry& entry : table.entries) {
    if (!is_table(entry, "profiles", findings)) {
      continue;
    }
    const std::size_t errors_before = findings.errors.size();
    Profile profile{entry.key, "", {}, entry.where};
    Reader reader{directory, findings, true, {}};
    bool has_cluster = false;
    for (const Entry& inner : entry.value.entries) {
      if (inner.key == "cluster") {
        has_cluster = true;
        read_cluster_of(inner, profile, config, findings);
      } else {
        reader.read(inner.key, inner);
      }
    }
    if (!has_cluster) {
      const auto names = cluster_names(config);
      reader.fail(
          entry.where, "profile '" + entry.key + "' does not say its cluster",
          "add cluster = \"" + (names.empty() ? "main" : std::string(names.front())) + "\"");
    }
    profile.properties = std::move(reader.properties);
    if (findings.errors.size() == errors_before) {
      const auto made = make_producer_conf(config.clusters.at(profile.cluster), profile);
      if (made) {
        findings.warnings.insert(findings.warnings.end(), made->warnings.begin(),
                                 made->warnings.end());
      } else {
        findings.errors.insert(findings.errors.end(), made.error().begin(), made.error().end());
      }
    }
    config.profiles[entry.key] = std::move(profile);
  }
}

}  // namespace kfast::daemon::config
