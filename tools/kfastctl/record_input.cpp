#include "kfastctl/record_input.hpp"

#include <utility>

namespace kfast::ctl {
namespace {

int hex_digit(char digit) noexcept {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

}  // namespace

std::optional<std::string> unescape(std::string_view text) {
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      bytes += text[at];
      continue;
    }
    if (++at == text.size()) {
      return std::nullopt;
    }
    switch (text[at]) {
      case 'n':
        bytes += '\n';
        break;
      case 't':
        bytes += '\t';
        break;
      case 'r':
        bytes += '\r';
        break;
      case '0':
        bytes += '\0';
        break;
      case '\\':
        bytes += '\\';
        break;
      case 'x': {
        const int high = at + 1 < text.size() ? hex_digit(text[at + 1]) : -1;
        const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
        if (high < 0 || low < 0) {
          return std::nullopt;
        }
        bytes += static_cast<char>(high * 16 + low);
        at += 2;
        break;
      }
      default:
        return std::nullopt;
    }
  }
  return bytes;
}

RecordSplitter::RecordSplitter(std::string delimiter, std::size_t limit)
    : delimiter_(std::move(delimiter)), limit_(limit) {}

void RecordSplitter::append(std::string_view bytes) {
  // The records before start_ have been handed out.
  buffer_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  record_ = {};
  buffer_.append(bytes);
}

RecordSplitter::Next RecordSplitter::next() {
  while (true) {
    const std::size_t found = buffer_.find(delimiter_, scanned_);
    if (found != std::string::npos) {
      record_ = std::string_view(buffer_).substr(start_, found - start_);
      start_ = found + delimiter_.size();
      scanned_ = start_;
      if (std::exchange(passing_over_, false)) {
        continue;
      }
      return record_.size() > limit_ ? Next::too_long : Next::record;
    }
    // The end of what is here may be the beginning of a delimiter.
    const std::size_t overlap = delimiter_.size() - 1;
    const std::size_t pending = buffer_.size() - start_;
    if (!finished_) {
      scanned_ = pending > overlap ? buffer_.size() - overlap : start_;
      if (passing_over_) {
        start_ = scanned_;
      } else if (pending > limit_ + overlap) {
        passing_over_ = true;
        start_ = scanned_;
        return Next::too_long;
      }
      return Next::need_more;
    }
    record_ = std::string_view(buffer_).substr(start_);
    start_ = buffer_.size();
    scanned_ = start_;
    if (std::exchange(passing_over_, false) || record_.empty()) {
      return Next::need_more;
    }
    return record_.size() > limit_ ? Next::too_long : Next::record;
  }
}

KeyAndValue split_key(std::string_view record, std::string_view delimiter) noexcept {
  const std::size_t found = record.find(delimiter);
  if (found == std::string_view::npos) {
    return {std::nullopt, record};
  }
  return {record.substr(0, found), record.substr(found + delimiter.size())};
}

std::optional<HeaderText> parse_header(std::string_view text) noexcept {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  if (name.empty()) {
    return std::nullopt;
  }
  if (equals == std::string_view::npos) {
    return HeaderText{name, std::nullopt};
  }
  return HeaderText{name, text.substr(equals + 1)};
}

}  // namespace kfast::ctl
