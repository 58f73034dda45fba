#include "channel/record_reader.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>

#include "raw_client.hpp"

namespace kfast::daemon::channel {
namespace {

using ipc::RecordExtension;
using ipc::RecordHead;
using test::RecordSpec;

constexpr std::uint64_t kMaxFrame = 1024;

/// Bytes that end where memory ends: whoever reads further dies.
class EndOfMemory {
 public:
  explicit EndOfMemory(const std::string& bytes)
      : pages_(::mmap(nullptr, 2 * ipc::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0)) {
    auto* end = static_cast<std::byte*>(pages_) + ipc::kPage;
    ::mprotect(end, ipc::kPage, PROT_NONE);
    at_ = end - bytes.size();
    std::memcpy(at_, bytes.data(), bytes.size());
  }
  EndOfMemory(const EndOfMemory&) = delete;
  EndOfMemory& operator=(const EndOfMemory&) = delete;
  ~EndOfMemory() { ::munmap(pages_, 2 * ipc::kPage); }
  [[nodiscard]] const std::byte* at() const { return at_; }

 private:
  void* pages_;
  std::byte* at_;
};

struct Checked {
  FrameCheck check;
  RecordView view;
  std::uint64_t aligned = 0;
  std::string why;
};

Checked check(const EndOfMemory& memory, std::uint64_t available,
              std::uint64_t max_frame = kMaxFrame) {
  Checked result{};
  const char* why = "";
  result.check = check_frame(memory.at(), available, max_frame, result.view, result.aligned, why);
  result.why = why;
  return result;
}

// Changes the head, or what follows it, of a good frame.
template <class Change>
std::string why_refused(RecordSpec spec, Change change) {
  std::string frame = test::frame_of(spec);
  RecordHead head{};
  std::memcpy(&head, frame.data(), sizeof head);
  RecordExtension extension{};
  const bool has_extension = spec.extension.has_value();
  if (has_extension) {
    std::memcpy(&extension, frame.data() + sizeof head, sizeof extension);
  }
  change(head, extension);
  std::memcpy(frame.data(), &head, sizeof head);
  if (has_extension) {
    std::memcpy(frame.data() + sizeof head, &extension, sizeof extension);
  }
  const EndOfMemory memory(frame);
  const Checked result = check(memory, frame.size());
  return result.check == FrameCheck::violation ? result.why : "accepted";
}

RecordSpec plain() {
  RecordSpec spec;
  spec.key = "key";
  return spec;
}
RecordSpec extended() {
  RecordSpec spec = plain();
  spec.headers = "eightbyt";
  spec.extension = RecordExtension{-1, -1, 1, 0, 8, 0};
  return spec;
}

std::string text(ipc::HostileBytes bytes) {
  return std::move(bytes).read_once([](const std::byte* at, std::size_t size) {
    return std::string(reinterpret_cast<const char*>(at), size);
  });
}

TEST(CheckFrame, FindsThePartsOfAWholeRecord) {
  const EndOfMemory memory(test::frame_of(extended()));
  Checked result = check(memory, test::frame_of(extended()).size());
  ASSERT_EQ(result.check, FrameCheck::record) << result.why;
  EXPECT_EQ(result.aligned, test::frame_of(extended()).size());
  EXPECT_EQ(result.view.payload_bytes(), 16U);
  EXPECT_EQ(text(std::move(result.view.key)), "key");
  EXPECT_EQ(text(std::move(result.view.value)), "value");
  EXPECT_EQ(text(std::move(result.view.headers)), "eightbyt");
  EXPECT_EQ(result.view.payload_bytes(), 0U) << "each part is read once";
}

TEST(CheckFrame, TellsNullFromEmpty) {
  RecordSpec nothing;
  nothing.value = std::nullopt;
  const EndOfMemory null_memory(test::frame_of(nothing));
  const Checked null = check(null_memory, sizeof(RecordHead));
  ASSERT_EQ(null.check, FrameCheck::record);
  EXPECT_TRUE(null.view.key.is_null());
  EXPECT_TRUE(null.view.value.is_null());
  RecordSpec empty;
  empty.key = empty.value = "";
  const EndOfMemory empty_memory(test::frame_of(empty));
  const Checked there = check(empty_memory, sizeof(RecordHead));
  ASSERT_EQ(there.check, FrameCheck::record);
  EXPECT_FALSE(there.view.key.is_null());
  EXPECT_FALSE(there.view.value.is_null());
  EXPECT_EQ(there.view.value.size(), 0U);
}

TEST(CheckFrame, NamesTheRuleThatIsBroken) {
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.size = 7; }), "frame size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.size = 0; }), "frame size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.size = UINT32_MAX; }),
            "frame size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.size += 8; }), "frame size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.size = 23; }), "record size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.kind = ipc::FrameKind::report; }),
            "unknown frame kind");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.kind = ipc::FrameKind{0}; }),
            "unknown frame kind");
  EXPECT_EQ(why_refused(plain(),
                        [](auto& h, auto&) {
                          h.kind = ipc::FrameKind::padding;
                          h.size = 25;
                        }),
            "padding is not aligned");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.flags |= 8; }), "unknown record flags");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.flags |= ipc::kHasExtension; }),
            "extension cut off");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.key_size = 9; }), "key size out of range");
  EXPECT_EQ(why_refused(plain(), [](auto& h, auto&) { h.key_size = UINT32_MAX; }),
            "key size out of range");
  EXPECT_EQ(
      why_refused(plain(),
                  [](auto& h, auto&) { h.flags &= static_cast<std::uint8_t>(~ipc::kHasKey); }),
      "key size out of range");
  EXPECT_EQ(
      why_refused(plain(),
                  [](auto& h, auto&) { h.flags &= static_cast<std::uint8_t>(~ipc::kHasValue); }),
      "bytes behind a null value");
  EXPECT_EQ(why_refused(extended(), [](auto&, auto& e) { e.headers_size = UINT32_MAX; }),
            "extension out of range");
  EXPECT_EQ(why_refused(extended(), [](auto&, auto& e) { e.headers_size = 17; }),
            "extension out of range");
  EXPECT_EQ(why_refused(extended(), [](auto&, auto& e) { e.header_count = 1025; }),
            "extension out of range");
  EXPECT_EQ(why_refused(extended(), [](auto&, auto& e) { e.partition = -2; }),
            "extension out of range");
  EXPECT_EQ(why_refused(extended(), [](auto&, auto&) {}), "accepted");
}

TEST(CheckFrame, RefusesARecordAboveTheLargestLegalFrame) {
  RecordSpec large;
  large.value = std::string(kMaxFrame - sizeof(RecordHead), 'v');
  const std::string fits = test::frame_of(large);
  EXPECT_EQ(check(EndOfMemory(fits), fits.size()).check, FrameCheck::record);
  large.value->push_back('v');
  const std::string too_large = test::frame_of(large);
  EXPECT_EQ(check(EndOfMemory(too_large), too_large.size()).why, "record size out of range");
}

TEST(CheckFrame, AFrameThatIsCutOffAnywhereIsRefusedWithoutReadingOn) {
  const std::string frame = test::frame_of(extended());
  for (std::size_t left = ipc::kFrameAlign; left < frame.size(); left += ipc::kFrameAlign) {
    const EndOfMemory memory(frame.substr(0, left));
    EXPECT_EQ(check(memory, left).check, FrameCheck::violation) << left;
  }
}

TEST(CheckFrame, AShortPlaceHoldsOnlyPaddingToItsEnd) {
  for (const std::uint32_t size : {8U, 16U}) {
    std::string padding(size, '\0');
    std::memcpy(padding.data(), &size, sizeof size);
    padding[4] = static_cast<char>(ipc::FrameKind::padding);
    const Checked result = check(EndOfMemory(padding), size);
    EXPECT_EQ(result.check, FrameCheck::padding);
    EXPECT_EQ(result.aligned, size);
    padding[0] = static_cast<char>(size - 8);
    EXPECT_EQ(check(EndOfMemory(padding), size).why,
              "a short frame that is not padding to the ring's end");
  }
}

TEST(CheckFrame, ZerosAreAViolationWhereverTheyStand) {
  for (const std::size_t size : {8U, 16U, 24U, 4096U}) {
    EXPECT_EQ(check(EndOfMemory(std::string(size, '\0')), size).check, FrameCheck::violation);
  }
}

// ---- headers ----

std::string header(std::uint32_t value_size, const std::string& name, const std::string& value) {
  const ipc::HeaderHead head{value_size, static_cast<std::uint16_t>(name.size()), 0};
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + name + value;
}

struct Walked {
  std::vector<std::string> names;
  std::vector<std::optional<std::string>> values;
  bool ok = false;
};

Walked walk(const std::string& bytes, std::uint16_t count) {
  const EndOfMemory memory(bytes);
  HeaderWalk walk(ipc::HostileBytes(memory.at(), bytes.size()), count);
  HeaderView header;
  Walked walked;
  while (walk.next(header)) {
    walked.names.push_back(text(std::move(header.name)));
    const bool null = header.value.is_null();
    walked.values.push_back(null ? std::nullopt : std::optional(text(std::move(header.value))));
  }
  walked.ok = walk.ok();
  return walked;
}

TEST(HeaderWalk, ReadsNamesAndValuesNullAndEmpty) {
  const std::string bytes =
      header(5, "name", "value") + header(ipc::kNullHeader, "null", "") + header(0, "", "");
  const Walked walked = walk(bytes, 3);
  EXPECT_TRUE(walked.ok);
  EXPECT_EQ(walked.names, (std::vector<std::string>{"name", "null", ""}));
  EXPECT_EQ(walked.values, (std::vector<std::optional<std::string>>{"value", std::nullopt, ""}));
}

TEST(HeaderWalk, LengthsThatDoNotAddUpAreNotOk) {
  const std::string one = header(5, "name", "value");
  EXPECT_FALSE(walk(one, 0).ok) << "bytes behind the last header";
  EXPECT_FALSE(walk(one, 2).ok) << "a header too few";
  EXPECT_FALSE(walk("", 1).ok);
  EXPECT_FALSE(walk(header(6, "name", "value"), 1).ok);
  EXPECT_FALSE(walk(header(UINT32_MAX - 1, "name", "value"), 1).ok);
  EXPECT_TRUE(walk("", 0).ok);
}

TEST(HeaderWalk, IsCutOffAnywhereWithoutReadingOn) {
  const std::string bytes = header(5, "name", "value") + header(3, "n", "abc");
  for (std::size_t left = 0; left < bytes.size(); ++left) {
    EXPECT_FALSE(walk(bytes.substr(0, left), 2).ok) << left;
  }
  EXPECT_TRUE(walk(bytes, 2).ok);
}

TEST(HeaderWalk, ANameMayBeAsLongAsKafkaAllowsAndNoLonger) {
  const std::string name(100, 'n');
  const EndOfMemory memory(header(0, name, ""));
  HeaderView view;
  HeaderWalk fits(ipc::HostileBytes(memory.at(), 108), 1);
  EXPECT_TRUE(fits.next(view));
  std::string long_name(ipc::kMaxHeaderName + 1, 'n');
  const std::string bytes = header(0, long_name, "");
  HeaderWalk too_long(
      ipc::HostileBytes(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()), 1);
  EXPECT_FALSE(too_long.next(view));
  EXPECT_FALSE(too_long.ok());
}

}  // namespace
}  // namespace kfast::daemon::channel
