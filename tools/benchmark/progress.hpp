// What is under way, on stderr.
#pragma once

#include <string>

namespace kfast::bench {

/// On a terminal one line that is written over, and taken away when `text` is empty; elsewhere, a
/// line each.
void show_progress(const std::string& text);

}  // namespace kfast::bench
