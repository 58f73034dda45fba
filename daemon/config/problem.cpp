#include "config/problem.hpp"

namespace kfast::daemon::config {

std::string to_text(const Where& where) {
  if (where.line == 0) {
    return where.file;
  }
  std::string text = where.file.empty() ? "" : where.file + ":";
  return text + std::to_string(where.line) + ":" + std::to_string(where.column);
}

std::string to_text(const Problem& problem) {
  std::string text = to_text(problem.where);
  if (!text.empty()) {
    text += ": ";
  }
  text += problem.text;
  if (!problem.cure.empty()) {
    text += " (" + problem.cure + ")";
  }
  return text;
}

}  // namespace kfast::daemon::config
