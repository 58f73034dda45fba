// The sentence that says what went wrong this time.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace kfast::client {

/// One sentence: a literal, which costs nothing to set, or formatted text, cut to the buffer. One
/// thread.
class ErrorText {
 public:
  ErrorText() noexcept = default;
  ErrorText(const ErrorText&) = delete;
  ErrorText& operator=(const ErrorText&) = delete;

  /// `sentence` is kept, not copied: a string literal.
  void set(const char* sentence) noexcept { text_ = sentence; }

  [[gnu::format(printf, 2, 3)]] void format(const char* pattern, ...) noexcept {
    // The arguments may include the present text.
    char fresh[kBytes];
    std::va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(fresh, sizeof fresh, pattern, arguments);
    va_end(arguments);
    std::memcpy(buffer_, fresh, sizeof buffer_);
    text_ = buffer_;
  }

  /// Becomes the same sentence.
  void take(const ErrorText& other) noexcept {
    if (other.text_ != other.buffer_) {
      text_ = other.text_;
    } else {
      std::memcpy(buffer_, other.buffer_, sizeof buffer_);
      text_ = buffer_;
    }
  }

  [[nodiscard]] const char* c_str() const noexcept { return text_; }

  /// Copies the sentence into a caller's buffer, cut, NUL-terminated. `to` may be null.
  void copy_to(char* to, std::size_t size) const noexcept {
    if (to != nullptr && size != 0) {
      std::snprintf(to, size, "%s", text_);
    }
  }

 private:
  static constexpr std::size_t kBytes = 512;
  char buffer_[kBytes] = {};
  const char* text_ = "";
};

}  // namespace kfast::client
