// kfastd: Kafka next to this host's workers.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "config/check.hpp"
#include "config/keys.hpp"
#include "config/load.hpp"
#include "daemon.hpp"
#include "kafka/dev_broker.hpp"
#include "keeper/keeper.hpp"
#include "process.hpp"
#include "session/fd_store.hpp"
#include "session/listeners.hpp"
#include "telemetry/log.hpp"
#include "telemetry/reference.hpp"

namespace {

using kfast::daemon::CommandLine;
using kfast::daemon::Failure;
using kfast::daemon::Result;
namespace config = kfast::daemon::config;
namespace kafka = kfast::daemon::kafka;
namespace telemetry = kfast::daemon::telemetry;

/// What runs: the file's configuration, or that of --dev with its broker.
struct Setup {
  config::Config config;
  std::unique_ptr<kafka::DevBroker> dev_broker;
};

std::string default_dev_directory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && *runtime != '\0' ? std::string(runtime) + "/kfast"
                                                : "/tmp/kfast-" + std::to_string(::getuid());
}

Result<Setup> set_up_dev(const CommandLine& line) {
  std::vector<kafka::DevTopic> topics;
  for (const std::string& text : line.dev_topics) {
    auto topic = kafka::parse_dev_topic(text);
    if (!topic) {
      return Failure{topic.error()};
    }
    topics.push_back(topic.take());
  }
  auto broker = kafka::DevBroker::start(topics);
  if (!broker) {
    return Failure{broker.error()};
  }
  const std::string directory = line.socket_dir.empty() ? default_dev_directory() : line.socket_dir;
  Setup setup{config::dev_config((*broker)->bootstrap_servers(), directory), broker.take()};
  return setup;
}

Result<Setup> set_up_from_file(const CommandLine& line) {
  auto loaded = config::load(line.config);
  if (!loaded) {
    std::string text;
    for (const auto& problem : loaded.error()) {
      text += (text.empty() ? "" : "\n") + config::to_text(problem);
    }
    return Failure{text};
  }
  for (const auto& warning : loaded->warnings) {
    spdlog::warn("{}", config::to_text(warning));
  }
  Setup setup{std::move(loaded->config), nullptr};
  if (!line.socket_dir.empty()) {
    setup.config.daemon.socket_dir = line.socket_dir;
  }
  return setup;
}

/// Says where the embedded broker is, in a file that scripts can read.
void announce_dev_broker(const Setup& setup) {
  const std::string& directory = setup.config.daemon.socket_dir;
  std::ofstream(directory + "/dev-brokers") << setup.dev_broker->bootstrap_servers() << '\n';
  spdlog::info("embedded broker at {} (keeps little, in memory: for trying out only)",
               setup.dev_broker->bootstrap_servers());
  spdlog::info("workers find this kfastd with: export KFAST_SOCKET_DIR={}", directory);
}

int fail(const std::string& why) {
  std::fprintf(stderr, "kfastd: %s\n", why.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  kfast::daemon::hide_environment();
  int exit_code = 0;
  const auto line = kfast::daemon::parse_command_line(argc, argv, exit_code);
  if (!line) {
    return exit_code;
  }
  if (!line->core_dumps) {
    kfast::daemon::hide_memory();
  }
  if (line->print_config_reference) {
    config::print_reference(std::cout);
    return 0;
  }
  if (line->print_metrics_reference) {
    std::cout << telemetry::metrics_reference();
    return 0;
  }
  if (line->check_config) {
    return config::check_config(line->config, std::cout);
  }
  if (line->keeper) {
    return kfast::daemon::keeper::run_keeper(argc, argv);
  }
  kfast::daemon::abort_when_out_of_memory();
  telemetry::set_up_log(spdlog::level::info);
  auto kept = kfast::daemon::session::take_kept_fds();
  auto listeners = kfast::daemon::session::take_listeners(kept.fds);
  if (!listeners) {
    return fail(listeners.error());
  }
  auto signals = kfast::daemon::signals_as_descriptor();
  if (!signals) {
    return fail(signals.error());
  }
  kfast::daemon::raise_descriptor_limit();
  auto setup = line->dev ? set_up_dev(*line) : set_up_from_file(*line);
  if (!setup) {
    return fail(setup.error());
  }
  if (const auto level = telemetry::parse_log_level(setup->config.daemon.log_level)) {
    spdlog::set_level(*level);
  }
  Setup running = setup.take();
  const bool dev = running.dev_broker != nullptr;
  const CommandLine& arguments = *line;
  const auto read_config = [arguments, dev]() -> Result<config::Config> {
    if (dev) {
      return Failure{"kfastd --dev has no configuration file"};
    }
    auto again = set_up_from_file(arguments);
    if (!again) {
      return Failure{again.error()};
    }
    return std::move(again->config);
  };
  const config::Config& config = running.config;
  auto directory_ready = kfast::daemon::claim_directory(config.daemon.socket_dir);
  if (!directory_ready) {
    return fail(directory_ready.error());
  }
  if (dev) {
    announce_dev_broker(running);
  }
  auto daemon = kfast::daemon::Daemon::start(
      std::move(running.config), std::move(running.dev_broker),
      {signals.take(), directory_ready.take(), std::move(kept), listeners.take(), read_config});
  if (!daemon) {
    return fail(daemon.error());
  }
  return (*daemon)->run();
}
