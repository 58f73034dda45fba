#include "kfastctl/stats_file.hpp"

namespace kfast::ctl {

Parsed read_snapshot(const std::string& socket_dir) {
  auto opened = StatsFile::open(socket_dir);
  if (!opened.file) {
    return {std::nullopt, opened.error};
  }
  return parse_snapshot(opened.file->bytes(), opened.file->writer_is_alive(), boottime_ms());
}

}  // namespace kfast::ctl
