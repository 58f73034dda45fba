// What the command line says, as plain values: the one place that knows CLI11.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kfast::ctl {

/// `kfastctl stat`
struct StatOptions {
  bool once = false;
  bool json = false;
  bool all = false;                    ///< zero values too
  std::string scope;                   ///< empty: every scope
  std::string filter;                  ///< see stat_output.hpp
  std::optional<double> interval;      ///< seconds
  std::optional<std::uint64_t> count;  ///< rounds
};

/// `kfastctl brokers`
struct BrokersOptions {};

/// `kfastctl health`
struct HealthOptions {
  std::uint32_t wait_seconds = 0;
  std::uint32_t stale_seconds = 10;  ///< a working shard's heartbeat older than this is critical
  bool tolerate_warnings = false;
};

/// `kfastctl drain`
struct DrainOptions {
  bool now = false;                       ///< ends kfastd's wait at once
  std::optional<double> timeout_seconds;  ///< how long to follow; for ever without it
};

/// `kfastctl reload`
struct ReloadOptions {};

/// `kfastctl produce`
struct ProduceOptions {
  std::string topic;
  std::string profile;
  std::optional<std::string> key;
  std::optional<std::string> key_delimiter;
  std::string delimiter;                ///< raw bytes, at least one
  std::int32_t partition = -1;          ///< -1: by the profile's partitioner
  std::vector<std::string> headers;     ///< "name=value" or "name"
  std::vector<std::string> properties;  ///< "option=value" for libkfast
  bool empty_is_null = false;
  bool reports = false;
  double timeout_seconds = 300;  ///< negative: for ever
};

struct CommandLine {
  std::string socket_dir;
  std::variant<StatOptions, BrokersOptions, HealthOptions, DrainOptions, ReloadOptions,
               ProduceOptions>
      command;
};

/// Nothing when there is nothing to run: the message (help, version or what is wrong) is printed
/// and `exit_code` is set.
std::optional<CommandLine> parse_command_line(int argc, const char* const* argv, int& exit_code);

}  // namespace kfast::ctl
