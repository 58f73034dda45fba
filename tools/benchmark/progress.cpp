#include "progress.hpp"

#include <unistd.h>

#include <cstdio>

namespace kfast::bench {

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, text.empty() ? "\r%-78.78s\r" : "\r%-78.78s", text.c_str());
  } else if (!text.empty()) {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

}  // namespace kfast::bench
