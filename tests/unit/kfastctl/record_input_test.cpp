#include "kfastctl/record_input.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kfast::ctl {
namespace {

using Next = RecordSplitter::Next;

/// What comes out when `input` arrives in chunks of `chunk` bytes; a record that is too long shows
/// as "<too long>".
std::vector<std::string> split(const std::string& input, std::size_t chunk,
                               const std::string& delimiter = "\n", std::size_t limit = 1000) {
  RecordSplitter splitter(delimiter, limit);
  std::vector<std::string> records;
  const auto drain = [&] {
    for (Next next = splitter.next(); next != Next::need_more; next = splitter.next()) {
      records.push_back(next == Next::too_long ? "<too long>" : std::string(splitter.record()));
    }
  };
  for (std::size_t at = 0; at < input.size(); at += chunk) {
    splitter.append(std::string_view(input).substr(at, chunk));
    drain();
  }
  splitter.finish();
  drain();
  return records;
}

TEST(RecordSplitter, CutsTheSameWhereverTheChunksEnd) {
  const std::string input = std::string("a\n\nbc\n\0\xff\n", 9) + "last";
  const std::vector<std::string> expected = {"a", "", "bc", std::string("\0\xff", 2), "last"};
  for (std::size_t chunk = 1; chunk <= input.size(); ++chunk) {
    EXPECT_EQ(split(input, chunk), expected) << chunk;
  }
}

TEST(RecordSplitter, ADelimiterOfSeveralBytesMayStraddleChunks) {
  const std::string input = "one--two---three--";
  for (std::size_t chunk = 1; chunk <= input.size(); ++chunk) {
    EXPECT_EQ(split(input, chunk, "--"), (std::vector<std::string>{"one", "two", "-three"}))
        << chunk;
  }
}

TEST(RecordSplitter, TheLastRecordNeedsNoDelimiterAndAnEmptyRestIsNone) {
  EXPECT_EQ(split("a\nb", 100), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(split("a\nb\n", 100), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(split("", 100), std::vector<std::string>{});
  EXPECT_EQ(split("\n", 100), std::vector<std::string>{""});
}

TEST(RecordSplitter, ARecordBeyondTheLimitIsNamedOnceAndTheNextOneIsWhole) {
  const std::string longest(8, 'x');
  const std::string input = longest + "\n" + std::string(9, 'y') + "\n" + std::string(500, 'z') +
                            "\nnext\n" + std::string(300, 'q');
  const std::vector<std::string> expected = {longest, "<too long>", "<too long>", "next",
                                             "<too long>"};
  for (std::size_t chunk = 1; chunk <= input.size(); ++chunk) {
    EXPECT_EQ(split(input, chunk, "\n", 8), expected) << chunk;
  }
}

TEST(SplitKey, TheFirstDelimiterEndsTheKey) {
  EXPECT_EQ(split_key("k:v:w", ":").key, "k");
  EXPECT_EQ(split_key("k:v:w", ":").value, "v:w");
  EXPECT_EQ(split_key(":v", ":").key, "");
  EXPECT_EQ(split_key("no key", ":").key, std::nullopt);
  EXPECT_EQ(split_key("no key", ":").value, "no key");
  EXPECT_EQ(split_key("k=>v", "=>").value, "v");
  EXPECT_EQ(split_key("k:", ":").value, "");
}

TEST(ParseHeader, ANameWithoutEqualsHasANullValue) {
  EXPECT_EQ(parse_header("a=b=c")->name, "a");
  EXPECT_EQ(parse_header("a=b=c")->value, "b=c");
  EXPECT_EQ(parse_header("a=")->value, "");
  EXPECT_EQ(parse_header("a")->value, std::nullopt);
  EXPECT_FALSE(parse_header("=b"));
  EXPECT_FALSE(parse_header(""));
}

TEST(Unescape, UnderstandsWhatAShellCannotWrite) {
  EXPECT_EQ(unescape("a\\n\\t\\\\b"), "a\n\t\\b");
  EXPECT_EQ(unescape("\\x00\\xfF"), std::string("\0\xff", 2));
  EXPECT_EQ(unescape("\\0"), std::string(1, '\0'));
  EXPECT_EQ(unescape("\\q"), std::nullopt);
  EXPECT_EQ(unescape("\\x1"), std::nullopt);
  EXPECT_EQ(unescape("\\"), std::nullopt);
}

}  // namespace
}  // namespace kfast::ctl
