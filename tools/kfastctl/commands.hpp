// The subcommands, one file each. They return kfastctl's exit code.
#pragma once

#include <string>

#include "kfastctl/options.hpp"

namespace kfast::ctl {

int run_stat(const std::string& socket_dir, const StatOptions& options);
int run_brokers(const std::string& socket_dir);
int run_health(const std::string& socket_dir, const HealthOptions& options);
int run_drain(const std::string& socket_dir, const DrainOptions& options);
int run_reload(const std::string& socket_dir);
int run_produce(const std::string& socket_dir, const ProduceOptions& options);

}  // namespace kfast::ctl
