// Where a secret's value comes from: a file, the environment, or a systemd credential.
#pragma once

#include <string>
#include <vector>

#include "config/document.hpp"
#include "config/result.hpp"

namespace kfast::daemon::config {

/// A resolved secret, and what to warn about (a file that everybody can read).
struct Secret {
  std::string value;
  std::vector<std::string> warnings;
};

/// Resolves `{ file = "..." }`, `{ env = "..." }` or `{ credential = "..." }`. A relative file is
/// relative to `directory`. One line end at the end of a file is not part of the secret.
Result<Secret, Problem> read_secret(const Node& table, const std::string& directory);

}  // namespace kfast::daemon::config
