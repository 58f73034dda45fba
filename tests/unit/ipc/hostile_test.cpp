// Memory that a client can write is read once: what would read it again does not compile.
#include "kfast/ipc/hostile.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kfast/ipc/frame.hpp"

namespace kfast::ipc {
namespace {

using Head = Hostile<RecordHead>;

template <class T>
concept FetchedAsLvalue = requires(T& t) {
  t.fetch();
};
template <class T>
concept FetchedAsRvalue = requires(T&& t) {
  std::move(t).fetch();
};
constexpr auto kReader = [](const std::byte*, std::size_t) {};
template <class T>
concept ReadAsLvalue = requires(T& t) {
  t.read_once(kReader);
};
template <class T>
concept ReadAsRvalue = requires(T&& t) {
  std::move(t).read_once(kReader);
};

static_assert(!std::is_copy_constructible_v<Head> && !std::is_copy_assignable_v<Head>);
static_assert(!std::is_move_constructible_v<Head> && !std::is_move_assignable_v<Head>);
static_assert(!std::is_default_constructible_v<Head>);
static_assert(!std::is_convertible_v<const std::byte*, Head>, "the address is named on purpose");
static_assert(FetchedAsRvalue<Head> && !FetchedAsLvalue<Head> && !FetchedAsLvalue<const Head>);
static_assert(std::is_same_v<decltype(std::declval<Head>().fetch()), RecordHead>, "a copy");

static_assert(!std::is_copy_constructible_v<HostileBytes>);
static_assert(!std::is_copy_assignable_v<HostileBytes>);
static_assert(ReadAsRvalue<HostileBytes> && !ReadAsLvalue<HostileBytes>);

TEST(Hostile, FetchGivesACopyThatLaterWritesDoNotReach) {
  alignas(8) std::array<std::byte, sizeof(RecordHead)> memory{};
  RecordHead head{};
  head.size = 40;
  head.kind = FrameKind::record;
  std::memcpy(memory.data(), &head, sizeof head);
  const RecordHead copy = Hostile<RecordHead>(memory.data()).fetch();
  memory.fill(std::byte{0xFF});
  EXPECT_EQ(copy.size, 40U);
  EXPECT_EQ(copy.kind, FrameKind::record);
}

TEST(Hostile, FetchNeedsNoAlignment) {
  std::array<std::byte, sizeof(std::uint64_t) + 1> memory{};
  const std::uint64_t value = 0x0102030405060708ULL;
  std::memcpy(memory.data() + 1, &value, sizeof value);
  EXPECT_EQ(Hostile<std::uint64_t>(memory.data() + 1).fetch(), value);
}

TEST(HostileBytes, AnUsedUpOneHasNoAddress) {
  const std::array<std::byte, 3> memory{};
  HostileBytes bytes(memory.data(), memory.size());
  EXPECT_EQ(bytes.size(), memory.size());
  const std::byte* seen = nullptr;
  std::move(bytes).read_once([&](const std::byte* at, std::size_t size) {
    seen = at;
    EXPECT_EQ(size, memory.size());
  });
  EXPECT_EQ(seen, memory.data());
  std::move(bytes).read_once([&](const std::byte* at, std::size_t) { seen = at; });
  EXPECT_EQ(seen, nullptr);
}

TEST(HostileBytes, AMovedFromOneHasNoBytes) {
  const std::array<std::byte, 3> memory{};
  HostileBytes first(memory.data(), memory.size());
  HostileBytes second(std::move(first));
  EXPECT_EQ(first.size(), 0U);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(second.size(), memory.size());
}

}  // namespace
}  // namespace kfast::ipc
