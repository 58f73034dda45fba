#include "config/check.hpp"

#include <cstdint>
#include <iomanip>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "config/kafka_conf.hpp"
#include "config/keys.hpp"
#include "config/load.hpp"

namespace kfast::daemon::config {
namespace {

void print(std::ostream& out, std::string_view kind, const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) {
    out << kind << ": " << to_text(problem) << '\n';
  }
}

template <class Struct>
void print_fields(std::ostream& out, Section section, const Struct& from) {
  for (const Key& key : all_keys()) {
    if (key.section != section) {
      continue;
    }
    out << "  " << key.name << " = ";
    if (const auto* field = std::get_if<std::uint64_t Struct::*>(&key.field)) {
      if (key.type == Type::mode) {
        out << "\"0" << std::oct << from.*(*field) << std::dec << "\"\n";
      } else {
        out << from.*(*field) << '\n';
      }
    }
    if constexpr (std::is_same_v<Struct, Daemon>) {
      if (const auto* field = std::get_if<std::string Daemon::*>(&key.field)) {
        out << std::quoted(from.*(*field)) << '\n';
      }
    }
  }
}

void print_patterns(std::ostream& out, std::string_view verb,
                    const std::vector<std::string>& patterns) {
  if (patterns.empty()) {
    return;
  }
  out << "  " << verb << ":";
  for (const std::string& pattern : patterns) {
    out << ' ' << pattern;
  }
  out << '\n';
}

void print_profile(std::ostream& out, const Profile& profile, const ProducerConf& made) {
  out << "profile " << profile.name << " on cluster " << profile.cluster << ", for a producer:\n";
  for (const Effective& effective : made.effective) {
    out << "  " << effective.name << " = " << effective.value << "  (" << effective.from << ")\n";
  }
  out << "  a record has " << made.message_timeout_ms
      << " ms to be delivered (message.timeout.ms)\n";
}

void print_effective(std::ostream& out, const Config& config,
                     const std::vector<std::pair<const Profile*, ProducerConf>>& made) {
  out << "daemon:\n";
  print_fields(out, Section::daemon, config.daemon);
  for (const auto& [profile, conf] : made) {
    print_profile(out, *profile, conf);
  }
  for (const Allow& rule : config.allow) {
    out << "allowed to " << rule.who << ":\n";
    print_patterns(out, "produce", rule.produce);
    print_patterns(out, "consume", rule.consume);
    print_patterns(out, "groups", rule.groups);
    if (rule.trusted) {
      out << "  trusted: records are read in their rings, without a copy (not for snappy)\n";
    }
  }
  for (const auto& [name, limits] : config.limits) {
    out << "limits." << name << ":\n";
    print_fields(out, Section::limits, limits);
  }
}

}  // namespace

int check_config(const std::string& path, std::ostream& out) {
  const auto loaded = load(path);
  if (!loaded) {
    print(out, "error", loaded.error());
    out << path << ": " << loaded.error().size() << " error(s); kfastd would not start\n";
    return 1;
  }
  std::vector<Problem> errors;
  std::vector<std::pair<const Profile*, ProducerConf>> made;
  for (const auto& [name, profile] : loaded->config.profiles) {
    auto conf = make_producer_conf(loaded->config.clusters.at(profile.cluster), profile);
    if (!conf) {
      errors.insert(errors.end(), conf.error().begin(), conf.error().end());
      continue;
    }
    if (const std::string error = try_producer(conf->conf.get()); !error.empty()) {
      errors.push_back(Problem{
          profile.where, "librdkafka makes no producer of profile '" + name + "': " + error, ""});
    }
    made.emplace_back(&profile, conf.take());
  }
  print(out, "error", errors);
  print(out, "warning", loaded->warnings);
  if (!errors.empty()) {
    out << path << ": " << errors.size() << " error(s); kfastd would not start\n";
    return 1;
  }
  print_effective(out, loaded->config, made);
  out << path << ": ok, " << loaded->warnings.size() << " warning(s)\n";
  return 0;
}

}  // namespace kfast::daemon::config
