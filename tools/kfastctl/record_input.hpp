// Records out of a stream of bytes: where one ends, and what of it is the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kfast::ctl {

/// \n \t \r \0 \\ and \xHH become the bytes they stand for; nothing when a backslash is followed by
/// anything else.
std::optional<std::string> unescape(std::string_view text);

/// Cuts a stream into records at a delimiter. Binary-safe. Keeps at most the longest record and one
/// chunk in memory.
class RecordSplitter {
 public:
  enum class Next {
    record,     ///< record() is one
    too_long,   ///< a record is longer than the limit: it is passed over, up to its delimiter
    need_more,  ///< append() more, or finish()
  };

  /// `delimiter`: at least one byte. `limit`: bytes of the longest record.
  RecordSplitter(std::string delimiter, std::size_t limit);

  void append(std::string_view bytes);
  /// No more bytes will come: what stands after the last delimiter, if anything, is the last
  /// record.
  void finish() noexcept { finished_ = true; }
  Next next();
  /// Valid until append() or next().
  [[nodiscard]] std::string_view record() const noexcept { return record_; }

 private:
  const std::string delimiter_;
  const std::size_t limit_;
  std::string buffer_;
  std::size_t start_ = 0;    // of the record that is being looked for
  std::size_t scanned_ = 0;  // no delimiter begins before this
  bool passing_over_ = false;
  bool finished_ = false;
  std::string_view record_;
};

struct KeyAndValue {
  std::optional<std::string_view> key;
  std::string_view value;
};

/// The first `delimiter` ends the key; a record without it has no key.
KeyAndValue split_key(std::string_view record, std::string_view delimiter) noexcept;

struct HeaderText {
  std::string_view name;
  std::optional<std::string_view> value;  ///< nothing: null
};

/// "name=value" or "name"; the first '=' counts. Nothing when the name is empty.
std::optional<HeaderText> parse_header(std::string_view text) noexcept;

}  // namespace kfast::ctl
