// One reader per section of the file; each adds what it finds to the configuration or the findings.
#pragma once

#include <string>
#include <string_view>

#include "config/config.hpp"
#include "config/document.hpp"
#include "config/keys.hpp"
#include "config/problem.hpp"

namespace kfast::daemon::config {

void read_daemon(const Node& table, Config& config, Findings& findings);
/// `table` holds all of [limits.*].
void read_limits(const Node& table, Config& config, Findings& findings);
/// `list` holds all of [[allow]].
void read_allow(const Node& list, Config& config, Findings& findings);
/// `table` holds all of [clusters.*]; relative secrets are relative to `directory`.
void read_clusters(const Node& table, const std::string& directory, Config& config,
                   Findings& findings);
/// `table` holds all of [profiles.*]. Read the clusters first.
void read_profiles(const Node& table, const std::string& directory, Config& config,
                   Findings& findings);

/// An entry of the wrong type or value: says what was expected, never what was found there.
Problem wrong_value(const Entry& entry, const Key& key, std::string_view section);
/// An entry that its section does not know: names the nearest that it does.
Problem unknown_key(const Entry& entry, Section section);

}  // namespace kfast::daemon::config
