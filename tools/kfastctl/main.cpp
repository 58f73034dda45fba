#include <cstdlib>
#include <variant>

#include "kfastctl/commands.hpp"
#include "kfastctl/options.hpp"

namespace {

struct Run {
  const std::string& socket_dir;
  int operator()(const kfast::ctl::StatOptions& options) const {
    return kfast::ctl::run_stat(socket_dir, options);
  }
  int operator()(const kfast::ctl::BrokersOptions& /*options*/) const {
    return kfast::ctl::run_brokers(socket_dir);
  }
  int operator()(const kfast::ctl::HealthOptions& options) const {
    return kfast::ctl::run_health(socket_dir, options);
  }
  int operator()(const kfast::ctl::DrainOptions& options) const {
    return kfast::ctl::run_drain(socket_dir, options);
  }
  int operator()(const kfast::ctl::ReloadOptions& /*options*/) const {
    return kfast::ctl::run_reload(socket_dir);
  }
  int operator()(const kfast::ctl::ProduceOptions& options) const {
    return kfast::ctl::run_produce(socket_dir, options);
  }
};

}  // namespace

int main(int argc, char** argv) {
  int exit_code = EXIT_SUCCESS;
  const auto line = kfast::ctl::parse_command_line(argc, argv, exit_code);
  return line ? std::visit(Run{line->socket_dir}, line->command) : exit_code;
}
