// A record whose value is made in the ring: what is published when, and what may happen in between.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

#include "fake_daemon.hpp"
#include "hand_over.hpp"

namespace kfast::test {
namespace {

using ipc::FrameKind;
using ipc::RecordHead;

class Reserve : public HandOver {
 protected:
  kfast_record_t record(std::size_t value_size) const {
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.value_size = value_size;
    return record;
  }
  int reserve(const kfast_record_t& record) { return kfast_reserve(producer, &record, &value); }
  /// Reserves a frame of `size` bytes, and fills it.
  int reserve_frame(std::size_t size) {
    const int code = reserve(record(size - sizeof(RecordHead)));
    if (code == KFAST_OK) {
      std::memset(value, 'r', size - sizeof(RecordHead));
    }
    return code;
  }
  std::int64_t commit_frame(std::size_t size) {
    return kfast_commit(producer, size - sizeof(RecordHead));
  }
  [[nodiscard]] std::uint64_t tail() const { return channel->c2d().tail.load(); }
  [[nodiscard]] bool says(const char* words) const {
    return std::strstr(kfast_last_error(producer), words) != nullptr;
  }
  [[nodiscard]] std::string_view text_at(std::uint64_t position, std::size_t size) const {
    return {reinterpret_cast<const char*>(channel->record_at(position)), size};
  }

  void* value = nullptr;
};

TEST_F(Reserve, TheValueStandsWhereItWasMade) {
  open();
  const kfast_header_t header{"trace", 5, "abc", 3};
  kfast_record_t wanted = record(5);
  wanted.key = "key";
  wanted.key_size = 3;
  wanted.headers = &header;
  wanted.header_count = 1;
  wanted.partition = 7;
  wanted.timestamp_ms = 4711;
  ASSERT_EQ(reserve(wanted), KFAST_OK);
  std::memcpy(value, "value", 5);
  EXPECT_EQ(text_at(sizeof(RecordHead) + sizeof(ipc::RecordExtension) + 8 + 8 + 3, 5), "value")
      << "it is made in the ring";
  EXPECT_EQ(tail(), 0U);
  EXPECT_EQ(kfast_used_bytes(producer), 0U);
  EXPECT_EQ(kfast_commit(producer, 5), 0);
  const auto head = channel->read<RecordHead>(0);
  EXPECT_EQ(head.kind, FrameKind::record);
  EXPECT_EQ(head.flags, ipc::kHasKey | ipc::kHasValue | ipc::kHasExtension);
  EXPECT_EQ(head.size, sizeof head + sizeof(ipc::RecordExtension) + 8 + 8 + 8);
  EXPECT_EQ(text_at(head.size - 16, 16), "traceabckeyvalue");
  EXPECT_EQ(tail(), head.size);
}

TEST_F(Reserve, TheFrameShrinksToItsValue) {
  open();
  ASSERT_EQ(reserve_frame(1000), KFAST_OK);
  EXPECT_EQ(commit_frame(29), 0);
  EXPECT_EQ(channel->read<RecordHead>(0).size, 29U);
  EXPECT_EQ(tail(), 32U);
  // An empty value is not a null one.
  ASSERT_EQ(reserve_frame(1024), KFAST_OK);
  EXPECT_EQ(commit_frame(24), 32);
  EXPECT_EQ(channel->read<RecordHead>(32).flags, ipc::kHasValue);
  EXPECT_EQ(tail(), 56U);
  EXPECT_EQ(send_frame(24), 56);
  EXPECT_EQ(channel->read<RecordHead>(56).ordinal, 2U);
}

TEST_F(Reserve, PaddingStaysWhereTheWholeWouldNotHaveFitted) {
  open(4096, 4096, 16, "none");
  for (const std::uint64_t left : {8U, 64U}) {
    for (std::uint64_t to_go = 4096 - tail() % 4096 - left; to_go != 0;) {
      const std::uint64_t size = to_go > 1024 + 24 ? 1024 : to_go > 1024 ? 512 : to_go;
      ASSERT_GE(send_frame(size), 0);
      channel->move_head(tail());
      to_go -= size;
    }
    const std::uint64_t end = tail();
    ASSERT_EQ(reserve_frame(1024), KFAST_OK);
    EXPECT_EQ(tail(), end);
    EXPECT_EQ(commit_frame(32), static_cast<std::int64_t>(end + left));
    EXPECT_EQ(channel->read<RecordHead>(end).kind, FrameKind::padding);
    EXPECT_EQ(channel->read<RecordHead>(end).size, left);
    EXPECT_EQ(channel->read<RecordHead>(end + left).size, 32U);
    EXPECT_EQ(text_at(end + left + 24, 8), "rrrrrrrr");
    EXPECT_EQ(tail(), end + left + 32);
    channel->move_head(tail());
  }
}

TEST_F(Reserve, ACancelledOneLeavesNothing) {
  open();
  ASSERT_EQ(send_frame(1024), 0);
  ASSERT_EQ(reserve_frame(1024), KFAST_OK);
  EXPECT_EQ(kfast_cancel(producer), KFAST_OK);
  EXPECT_EQ(tail(), 1024U);
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(send_frame(1024), i * 1024);
    EXPECT_EQ(channel->read<RecordHead>(static_cast<std::uint64_t>(i) * 1024).ordinal,
              static_cast<std::uint32_t>(i));
  }
  EXPECT_EQ(reserve_frame(24), KFAST_ERR_QUEUE_FULL);
}

TEST_F(Reserve, NothingElseIsSentWhileOneIsOpen) {
  open();
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  kfast_record_t other = record(0);
  EXPECT_EQ(send_frame(24), KFAST_ERR_INVALID);
  EXPECT_TRUE(says("kfast_commit or kfast_cancel"));
  EXPECT_EQ(kfast_send_record(producer, topic, -1, -1, nullptr, 0, "v", 1, nullptr, 0, -1),
            KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send_batch(producer, &other, 1, -1), KFAST_ERR_INVALID);
  EXPECT_EQ(other.position, KFAST_ERR_INVALID);
  EXPECT_EQ(reserve(other), KFAST_ERR_INVALID);
  EXPECT_EQ(value, nullptr);
  // All else goes on.
  EXPECT_EQ(kfast_flush(producer, 0), KFAST_OK);
  EXPECT_EQ(kfast_topic(producer, "other"), 1);
  EXPECT_TRUE(all_reports().empty());
  EXPECT_EQ(commit_frame(48), 0);
  EXPECT_EQ(text_at(24, 24), std::string(24, 'r'));
  EXPECT_EQ(send_frame(24), 48);
}

TEST_F(Reserve, TooLongAValueIsRefusedAndTheReservationStays) {
  open();
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  EXPECT_EQ(commit_frame(49), KFAST_ERR_INVALID);
  EXPECT_TRUE(says("25 bytes of value are more than the 24"));
  EXPECT_EQ(kfast_commit(producer, SIZE_MAX), KFAST_ERR_INVALID);
  EXPECT_EQ(commit_frame(48), 0);
}

TEST_F(Reserve, WithoutOneThereIsNothingToEnd) {
  open();
  EXPECT_EQ(kfast_commit(producer, 0), KFAST_ERR_INVALID);
  EXPECT_TRUE(says("kfast_reserve"));
  EXPECT_EQ(kfast_cancel(producer), KFAST_ERR_INVALID);
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  EXPECT_EQ(commit_frame(48), 0);
  EXPECT_EQ(kfast_commit(producer, 0), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_cancel(producer), KFAST_ERR_INVALID);
}

TEST_F(Reserve, WhatASendRefusesIsRefused) {
  open(4096, 4096);
  EXPECT_EQ(kfast_reserve(producer, nullptr, &value), KFAST_ERR_INVALID);
  kfast_record_t wanted = record(8);
  EXPECT_EQ(kfast_reserve(producer, &wanted, nullptr), KFAST_ERR_INVALID);
  const auto refused = [&](auto&& spoil) {
    kfast_record_t spoilt = record(8);
    spoil(spoilt);
    const int code = reserve(spoilt);
    EXPECT_EQ(value, nullptr);
    EXPECT_EQ(kfast_cancel(producer), KFAST_ERR_INVALID) << "no reservation is left behind";
    return code;
  };
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.topic = 9; }), KFAST_ERR_INVALID);
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.timestamp_ms = 0; }), KFAST_ERR_INVALID);
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.key_size = 1; }), KFAST_ERR_INVALID);
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.header_count = 1025; }), KFAST_ERR_TOO_MANY_HEADERS);
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.value_size = 1001; }), KFAST_ERR_TOO_LARGE);
  EXPECT_EQ(refused([](auto& spoilt) { spoilt.value_size = SIZE_MAX; }), KFAST_ERR_TOO_LARGE);
  channel->set_topic_state(0, ipc::TopicState::not_allowed);
  EXPECT_EQ(refused([](auto&) {}), KFAST_ERR_TOPIC_NOT_ALLOWED);
  channel->set_topic_state(0, ipc::TopicState::over_budget);
  EXPECT_EQ(refused([](auto&) {}), KFAST_ERR_QUEUE_FULL);
  channel->set_topic_state(0, ipc::TopicState::open);
  while (send_frame(24) >= 0) {
  }
  EXPECT_TRUE(says("kfast_reports")) << "the credit is used up";
  EXPECT_EQ(refused([](auto&) {}), KFAST_ERR_QUEUE_FULL);
}

TEST_F(Reserve, CommitRings) {
  open();
  channel->d2c().parked.store(1);
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  std::uint64_t rings = 0;
  EXPECT_EQ(::read(channel->doorbell.get(), &rings, sizeof rings), -1);
  EXPECT_EQ(commit_frame(48), 0);
  EXPECT_EQ(::read(channel->doorbell.get(), &rings, sizeof rings), sizeof rings);
}

TEST_F(Reserve, AReportOfTheLapBeforeThatIsReadMeanwhileIsNotTakenForItsOwn) {
  open();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(send_frame(1024), i * 1024);
  }
  channel->report({0});
  channel->move_head(1024);
  ASSERT_EQ(reserve_frame(1024), KFAST_OK);
  EXPECT_EQ(all_reports().size(), 1U);
  EXPECT_EQ(commit_frame(1024), 4096);
  channel->report({1024, 2048, 3072, 4096});
  const auto reports = all_reports();
  ASSERT_EQ(reports.size(), 4U);
  EXPECT_EQ(reports[3].position, 4096);
}

TEST_F(Reserve, OutlivesItsDaemon) {
  open(4096, 4096);
  ASSERT_EQ(send_frame(1024), 0);
  channel->move_head(1024);
  ASSERT_EQ(reserve_frame(1024), KFAST_OK);
  die();
  take_over();
  // The new daemon sees nothing of it.
  EXPECT_EQ(tail(), 1024U);
  EXPECT_EQ(kfast_used_bytes(producer), 0U);
  EXPECT_EQ(commit_frame(1000), 1024);
  EXPECT_EQ(channel->read<RecordHead>(1024).size, 1000U);
  EXPECT_EQ(text_at(1048, 4), "rrrr");
  channel->report({1024});
  channel->move_head(tail());
  EXPECT_EQ(all_reports().size(), 1U);
}

TEST_F(Reserve, AWorkerThatOnlyReservesAndCommitsComesBack) {
  open(65536, 4096, 16, "none");
  die();
  daemon.start();
  std::future<void> served = std::async(std::launch::async, [&] {
    session = daemon.accept();
    static_cast<void>(session.receive().as<ipc::Hello>());
    session.welcome();
    Message message = session.receive();
    const auto request = message.as<ipc::ResumeProducer>();
    channel.emplace(request.geometry, std::move(message.fds.at(0)), std::move(message.fds.at(1)));
    session.resume(*channel, request.request);
    await_confirm();
  });
  std::int64_t next = 0;
  while (served.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (reserve_frame(48) == KFAST_OK) {
      ASSERT_EQ(commit_frame(24), next);
      next += 24;
    }
  }
  served.get();
  EXPECT_EQ(tail(), static_cast<std::uint64_t>(next));
}

TEST_F(Reserve, CreditCountsIndependentlyOfAHandOver) {
  open(65536, 4096);
  const std::uint64_t limit = ipc::report_credit(4096, 0);
  for (std::uint64_t i = 1; i < limit; ++i) {
    ASSERT_GE(send_frame(24), 0);
  }
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  die();
  take_over();
  ASSERT_GE(commit_frame(24), 0);
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL) << "it was the last that fits";
  for (std::uint64_t i = 0; i < limit; ++i) {
    ASSERT_NO_THROW(channel->report({i * 24}));
  }
  channel->move_head(tail());
  EXPECT_EQ(all_reports().size(), limit);
  EXPECT_GE(send_frame(24), 0);
}

TEST_F(Reserve, OfAChannelThatIsClosedMeanwhileEndsWithoutARecord) {
  open();
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::violation;
  ipc::put_text(notice.text, "a frame of size 0");
  session.send(notice);
  session.close();
  kfast_report_t report;
  EXPECT_EQ(kfast_reports(producer, &report, 1), KFAST_ERR_CLOSED);
  std::memset(value, 'r', 24);  // still its own
  EXPECT_EQ(commit_frame(48), KFAST_ERR_CLOSED);
  EXPECT_TRUE(says("a frame of size 0"));
  EXPECT_EQ(tail(), 0U);
  EXPECT_EQ(kfast_cancel(producer), KFAST_ERR_INVALID);
  EXPECT_EQ(send_frame(24), KFAST_ERR_CLOSED);
}

TEST_F(Reserve, AForkedChildCannotEndItsParents) {
  open();
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool refused = commit_frame(48) == KFAST_ERR_FORKED &&
                         kfast_cancel(producer) == KFAST_ERR_FORKED &&
                         send_frame(24) == KFAST_ERR_FORKED;
    kfast_producer_close(producer);
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(tail(), 0U);
  EXPECT_EQ(commit_frame(48), 0);
  EXPECT_EQ(tail(), 48U);
}

TEST_F(Reserve, CloseLeavesNothingOfIt) {
  open();
  ASSERT_EQ(reserve_frame(48), KFAST_OK);
  kfast_producer_close(producer);
  producer = nullptr;
  EXPECT_EQ(tail(), 0U);
  EXPECT_EQ(session.receive().as<ipc::Close>().channel, 1U);
}

}  // namespace
}  // namespace kfast::test
