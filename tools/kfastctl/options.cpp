#include "kfastctl/options.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <iostream>

#include "kfast/ipc/wire.hpp"
#include "kfast/kfast.h"
#include "kfastctl/health_check.hpp"
#include "kfastctl/record_input.hpp"

namespace kfast::ctl {
namespace {

CLI::App* add_stat(CLI::App& app, StatOptions& stat, std::string& output) {
  CLI::App* sub = app.add_subcommand("stat", "Show kfastd's counters");
  sub->footer(
      "Reads shared memory only, so it works when kfastd hangs or is dead, and says so.\n"
      "On a terminal it goes on until Ctrl-C; into a pipe it prints once.");
  sub->add_flag("-1,--once", stat.once, "print once, also on a terminal");
  sub->add_option("-o,--output", output, "text or json (json prints one line per round)")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  sub->add_flag("-a,--all", stat.all, "zero values too");
  sub->add_option("--scope", stat.scope, "only daemon, shard, profile, topic, channel or broker");
  sub->add_option(
      "-f,--filter", stat.filter,
      "only lines whose metric name or `label=value` contains this, or matches it if it\n"
      "has one of *?[");
  sub->add_option("--interval", stat.interval, "seconds between rounds [1]")
      ->check(CLI::Range(0.05, 86400.0));
  sub->add_option("--count", stat.count, "rounds to print, then end")->check(CLI::PositiveNumber);
  return sub;
}

CLI::App* add_brokers(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("brokers", "Show how the brokers answer");
  sub->footer(
      "Needs librdkafka's statistics, which are off by default: \"statistics.interval.ms\" of a\n"
      "profile. Reads shared memory only.");
  return sub;
}

CLI::App* add_health(CLI::App& app, HealthOptions& health) {
  CLI::App* sub = app.add_subcommand("health", "Say whether kfastd works");
  sub->footer("Exit code: 0 ok, 1 warning, 2 critical, 3 unknown (for example, no permission).");
  sub->add_option("--wait", health.wait_seconds, "wait up to this many seconds for it to be ok");
  sub->add_flag("--tolerate-warnings", health.tolerate_warnings,
                "exit code 0 for warnings, too: for a probe that restarts kfastd where it fails");
  sub->add_option("--stale", health.stale_seconds,
                  "seconds without progress after which a busy shard counts as hung")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return sub;
}

CLI::App* add_drain(CLI::App& app, DrainOptions& drain) {
  CLI::App* sub = app.add_subcommand("drain", "Stop kfastd by hand: flush, then end");
  sub->footer(
      "Sends SIGTERM, as whoever stops kfastd does, and follows it to its end. kfastd refuses new\n"
      "sessions and flushes what was sent for drain_timeout_ms at most; workers go on sending "
      "into\n"
      "their rings. Needs root, or to be kfastd's user.\n"
      "Exit code: 0 every record has its outcome, 1 records were left, 2 the command line is "
      "wrong,\n"
      "3 not followed to its end (no kfastd, no permission, --timeout).");
  sub->add_flag("--now", drain.now, "end the wait at once; records without an outcome are left");
  sub->add_option("--timeout", drain.timeout_seconds,
                  "seconds to follow it; kfastd goes on draining [until it has ended]")
      ->check(CLI::NonNegativeNumber);
  return sub;
}

CLI::App* add_reload(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("reload", "Have kfastd read its configuration again");
  sub->footer(
      "Sends SIGHUP and says what became of it. A bad file is refused whole. Needs root, or to be\n"
      "kfastd's user.\n"
      "Exit code: 0 applied, 1 refused, 2 the command line is wrong, 3 not known (no kfastd, no\n"
      "permission, no answer).");
  return sub;
}

CLI::App* add_produce(CLI::App& app, ProduceOptions& produce, std::string& delimiter) {
  CLI::App* sub = app.add_subcommand("produce", "Send records, one per line of stdin");
  sub->footer(
      "  seq 10 | kfastctl produce -t numbers\n"
      "  kfastctl produce -t orders -K : -H source=shell --reports < orders.txt\n"
      "An empty line is a record with an empty value. Waits while the ring is full; loses no "
      "line.\n"
      "Exit code: 0 every record was delivered, 1 not so, 2 the command line is wrong.");
  sub->add_option("-t,--topic", produce.topic, "topic to produce to")->required();
  sub->add_option("-K,--key-delimiter", produce.key_delimiter,
                  "what ends the key at the start of a line (\\t, \\n and \\xHH are understood)");
  sub->add_option("-k,--key", produce.key, "the key of every record that brings none");
  sub->add_option("-p,--partition", produce.partition, "partition [by the profile's partitioner]")
      ->check(CLI::Range(-1, 2147483647));
  sub->add_option("-D,--delimiter", delimiter, "what ends a record [\\n]");
  sub->add_option("-H,--header", produce.headers,
                  "name=value, or name for a null value; repeatable")
      ->allow_extra_args(false);
  sub->add_flag("-Z,--null", produce.empty_is_null, "an empty value or key is null (a tombstone)");
  sub->add_option("--profile", produce.profile, "profile of kfastd.toml [default]");
  sub->add_option("-X,--property", produce.properties,
                  "option=value for libkfast, such as ring.bytes=16m; repeatable")
      ->allow_extra_args(false);
  sub->add_flag("--reports", produce.reports, "print a line per delivery report");
  sub->add_option("--timeout", produce.timeout_seconds,
                  "seconds to wait without progress, for room or for reports; -1 for ever")
      ->capture_default_str();
  return sub;
}

/// What CLI11 cannot check by itself; a sentence, or empty.
std::string check_produce(ProduceOptions& produce, const std::string& delimiter) {
  const auto unescaped = unescape(delimiter);
  if (!unescaped || unescaped->empty()) {
    return "-D needs at least one character; \\n, \\t, \\r, \\0, \\\\ and \\xHH are understood";
  }
  produce.delimiter = *unescaped;
  if (produce.key_delimiter) {
    const auto key_delimiter = unescape(*produce.key_delimiter);
    if (!key_delimiter || key_delimiter->empty()) {
      return "-K needs at least one character; \\n, \\t, \\r, \\0, \\\\ and \\xHH are understood";
    }
    produce.key_delimiter = key_delimiter;
  }
  return {};
}

}  // namespace

std::optional<CommandLine> parse_command_line(int argc, const char* const* argv, int& exit_code) {
  CommandLine line;
  line.socket_dir = ipc::kDefaultSocketDir;
  StatOptions stat;
  HealthOptions health;
  DrainOptions drain;
  ProduceOptions produce;
  std::string output = "text";
  std::string delimiter = "\\n";

  CLI::App app("kfastctl: look at kfastd, and talk to it", "kfastctl");
  app.set_version_flag("--version", std::string("kfastctl ") + kfast_version());
  app.add_option("--socket-dir", line.socket_dir, "directory of kfastd's sockets")
      ->envname(ipc::kSocketDirVariable)
      ->capture_default_str();
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* stat_command = add_stat(app, stat, output);
  CLI::App* brokers_command = add_brokers(app);
  CLI::App* health_command = add_health(app, health);
  CLI::App* drain_command = add_drain(app, drain);
  CLI::App* reload_command = add_reload(app);
  CLI::App* produce_command = add_produce(app, produce, delimiter);

  // A wrong command line is 2, as everywhere; for health, whose 2 means critical, it is 3.
  const auto wrong_usage = [&] {
    return health_command->parsed() ? static_cast<int>(HealthLevel::unknown) : 2;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    exit_code = app.exit(problem) == 0 ? 0 : wrong_usage();
    return std::nullopt;
  }
  if (stat_command->parsed()) {
    stat.json = output == "json";
    line.command = stat;
  } else if (brokers_command->parsed()) {
    line.command = BrokersOptions{};
  } else if (health_command->parsed()) {
    line.command = health;
  } else if (drain_command->parsed()) {
    line.command = drain;
  } else if (reload_command->parsed()) {
    line.command = ReloadOptions{};
  } else if (produce_command->parsed()) {
    if (const std::string wrong = check_produce(produce, delimiter); !wrong.empty()) {
      std::cerr << "kfastctl: " << wrong << '\n';
      exit_code = wrong_usage();
      return std::nullopt;
    }
    line.command = produce;
  }
  return line;
}

}  // namespace kfast::ctl
