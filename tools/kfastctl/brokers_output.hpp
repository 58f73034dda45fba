// What `kfastctl brokers` prints.
#pragma once

#include <string>

#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {

/// Header line and a row for each broker of each profile; where there is none, how to have them.
std::string brokers_text(const Snapshot& snapshot);

}  // namespace kfast::ctl
