// From a file to a Config, or to everything that is wrong with the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/problem.hpp"
#include "config/result.hpp"

namespace kfast::daemon::config {

/// A configuration that can be used, and what is worth a warning.
struct Loaded {
  Config config;
  std::vector<Problem> warnings;
};

using LoadResult = Result<Loaded, std::vector<Problem>>;

/// Reads and checks the file, its secrets included. All errors are returned, in the file's order,
/// each with its place and its cure. Every profile has been composed once, so
/// make_producer_conf() succeeds for all of them.
LoadResult load(const std::string& path);

/// The same for text; `file` names it in positions, `directory` is where relative secrets are.
LoadResult load_text(std::string_view text, const std::string& file, const std::string& directory);

/// The configuration of `kfastd --dev`: cluster "main" at `bootstrap_servers`, profile "default",
/// everything allowed to the calling user and to nobody else.
Config dev_config(const std::string& bootstrap_servers, const std::string& socket_dir);

}  // namespace kfast::daemon::config
