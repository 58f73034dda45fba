// A small file, whole.
#pragma once

#include <cstddef>
#include <string>

#include "config/result.hpp"

namespace kfast::daemon::config {

/// The content of a regular file of at most `limit` bytes; the error names the path and the cause.
Result<std::string> read_file(const std::string& path, std::size_t limit);

}  // namespace kfast::daemon::config
