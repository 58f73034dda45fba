// What kfastd was asked to do.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kfast::daemon {

struct CommandLine {
  std::string config = "/etc/kfast/kfastd.toml";
  std::string socket_dir;  // empty: the configuration's
  bool dev = false;
  std::vector<std::string> dev_topics;
  bool keeper = false;
  bool core_dumps = false;
  bool check_config = false;
  bool print_config_reference = false;
  bool print_metrics_reference = false;
};

/// Parses the arguments. On --help, --version and errors prints and returns nothing; `exit_code` is
/// then what to exit with.
[[nodiscard]] std::optional<CommandLine> parse_command_line(int argc, char** argv, int& exit_code);

}  // namespace kfast::daemon
