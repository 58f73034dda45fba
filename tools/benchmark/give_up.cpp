#include "give_up.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace kfast::bench {

void give_up(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(EXIT_FAILURE);
}

}  // namespace kfast::bench
