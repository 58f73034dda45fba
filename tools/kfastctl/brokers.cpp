#include <cstdio>
#include <string>

#include "kfastctl/brokers_output.hpp"
#include "kfastctl/commands.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {

int run_brokers(const std::string& socket_dir) {
  const Parsed parsed = read_snapshot(socket_dir);
  if (!parsed.snapshot) {
    std::fprintf(stderr, "kfastctl: %s\n", parsed.error.c_str());
    return 1;
  }
  const std::string text = brokers_text(*parsed.snapshot);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0
             ? 0
             : 1;
}

}  // namespace kfast::ctl
