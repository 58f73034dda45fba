// What is wrong with a configuration, where, and what to do about it.
#pragma once

#include <string>
#include <vector>

namespace kfast::daemon::config {

/// A place in a configuration file; line and column count from 1, 0 means "the file as a whole".
struct Where {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;
};

/// An error or a warning. Never holds a secret's value.
struct Problem {
  Where where;
  std::string text;  ///< the cause
  std::string cure;  ///< what to do; empty where the text says it already
};

/// Everything found in one pass over a file; a configuration with errors is not used.
struct Findings {
  std::vector<Problem> errors;
  std::vector<Problem> warnings;
};

/// "file:line:column", or less where less is known.
std::string to_text(const Where& where);
/// "file:line:column: text (cure)", one line.
std::string to_text(const Problem& problem);

}  // namespace kfast::daemon::config
