#include "command_line.hpp"

#include <CLI/CLI.hpp>

namespace kfast::daemon {

std::optional<CommandLine> parse_command_line(int argc, char** argv, int& exit_code) {
  CommandLine line;
  CLI::App app{"kfastd: owns this host's connections to Kafka, for workers that link libkfast"};
  app.set_version_flag("--version", "kfastd " KFAST_DAEMON_VERSION);
  app.add_option("--config", line.config, "the configuration file")->capture_default_str();
  app.add_option("--socket-dir", line.socket_dir,
                 "directory of the sockets and of the stats file; overrides daemon.socket_dir");
  app.add_flag("--dev", line.dev,
               "run with an embedded broker (librdkafka's mock cluster) and no configuration file");
  app.add_option("--topic", line.dev_topics,
                 "with --dev: a topic to create, NAME or NAME:PARTITIONS; may be repeated")
      ->take_all();
  app.add_flag(
      "--keeper", line.keeper,
      "run kfastd as a child, keep its channels' memory for it, and start it again when it "
      "is killed; for hosts without systemd");
  app.add_flag("--core-dumps", line.core_dumps,
               "allow core dumps, and debuggers of kfastd's user: both see the passwords that are "
               "in its memory");
  std::string checked;
  const CLI::Option* check =
      app.add_option(
             "--check-config", checked,
             "check the configuration file (this one, or that of --config), say what is wrong "
             "or weak with it, and exit")
          ->expected(0, 1);
  app.add_flag("--print-config-reference", line.print_config_reference,
               "print the configuration reference (markdown) and exit");
  app.add_flag("--print-metrics-reference", line.print_metrics_reference,
               "print the metrics reference (markdown) and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error);
    return std::nullopt;
  }
  line.check_config = check->count() != 0;
  if (!checked.empty()) {
    line.config = checked;
  }
  return line;
}

}  // namespace kfast::daemon
