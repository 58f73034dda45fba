#pragma once

#include <string>

namespace kfast::bench {

/// Ends the process, with the reason on stderr.
[[noreturn]] void give_up(const std::string& why);

}  // namespace kfast::bench
