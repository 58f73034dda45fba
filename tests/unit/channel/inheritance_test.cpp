// The daemon dies; another one goes on with the ring, the done bits and the words that it left.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

using ipc::Outcome;

class InheritanceTest : public ChannelTest {
 protected:
  std::uint64_t send(const std::string& value) {
    RecordSpec spec;
    spec.value = value;
    return client_->send(spec);
  }
  static ReadReport delivered_before(std::uint64_t position) {
    return {position, 0, Outcome::delivered, 0, -1, -1};
  }
};

TEST_F(InheritanceTest, OutcomesThatThePredecessorKnewAreReportedAndNotSentAgain) {
  open();
  send("one");
  const std::uint64_t two = send("two");
  send("three");
  take();
  deliver(1, 5);
  replace_daemon();
  EXPECT_EQ(take().records, 3U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "three"}));
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records, (std::vector<ReadReport>{delivered_before(two)}));
  deliver(0);
  deliver(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
}

TEST_F(InheritanceTest, ALossThatThePredecessorKnewComesBackAsUnknown) {
  open();
  send("one");
  const std::uint64_t two = send("two");
  take();
  fail(1);
  replace_daemon();
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{two, 0, Outcome::unknown, 0, -1, -1}}));
}

TEST_F(InheritanceTest, WhatWasFreedIsNotTakenAgain) {
  open();
  send("one");
  take();
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  send("two");
  replace_daemon();
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"two"}));
}

TEST_F(InheritanceTest, WhatIsSubmittedAgainIsCounted) {
  open();
  send("one");
  send("two");
  take();
  send("three");
  replace_daemon();
  take();
  EXPECT_EQ(counted(telemetry::TopicCounter::resubmitted_daemon_restart), 2U)
      << "the third was never handed over";
}

TEST_F(InheritanceTest, ARecordThatMayHaveBeenSentExpiresAsUnknownAndAnotherAsFailed) {
  settings_.delivery_timeout_ms = 1000;
  open();
  const std::uint64_t sent = send("handed over");
  take();
  const std::uint64_t unsent = send("still in the ring");
  replace_daemon();
  take(1000, kNow + 2000);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{sent, 0, Outcome::unknown, -192, -1, -1},
                                     {unsent, 0, Outcome::failed, -192, -1, -1}}));
}

TEST_F(InheritanceTest, ARecordThatMayHaveBeenSentNeverFailsForCertain) {
  open();
  const std::uint64_t sent = send("handed over");
  take();
  const std::uint64_t unsent = send("still in the ring");
  replace_daemon();
  take();
  fail(0);
  fail(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{sent, 0, Outcome::unknown, 10, 1, -1},
                                     {unsent, 0, Outcome::failed, 10, 1, -1}}));
}

TEST_F(InheritanceTest, ASecondDeathForgetsNothingThatTheFirstLifeHandedOver) {
  settings_.delivery_timeout_ms = 1000;
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  const std::uint64_t three = send("three");
  take();
  deliver(2, 9);
  replace_daemon();
  EXPECT_EQ(take(1).records, 1U);  // dies again before it has come as far as its predecessor
  replace_daemon();
  take(1000, kNow + 2000);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{one, 0, Outcome::unknown, -192, -1, -1},
                                     {two, 0, Outcome::unknown, -192, -1, -1},
                                     delivered_before(three)}));
}

TEST_F(InheritanceTest, ADeathInTheMiddleOfMarkingLeavesNoBitsForTheNextLap) {
  open();
  const std::uint64_t position = send(std::string(200, 'v'));
  take();
  // What mark() has done when it dies after its first bit.
  auto* bits = reinterpret_cast<std::uint8_t*>(
      channel_->segments().d2c_at(channel_->segments().geometry.done_bits));
  bits[0] = 1;
  replace_daemon();
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records, (std::vector<ReadReport>{delivered_before(position)}));
  bits = reinterpret_cast<std::uint8_t*>(
      channel_->segments().d2c_at(channel_->segments().geometry.done_bits));
  EXPECT_EQ(bits[0], 0xFF) << "all bits of the frame say done";
  EXPECT_EQ(bits[1], 0xFF);
}

TEST_F(InheritanceTest, ATopicIsAskedForAgain) {
  open();
  client_->put_topic(0, "denied");
  send("one");
  take();
  EXPECT_EQ(client_->topic_state(0), ipc::TopicState::not_allowed);
  replace_daemon();
  EXPECT_EQ(client_->topic_state(0), ipc::TopicState::unseen);
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"denied"}));
}

// ---- without its client ----

TEST_F(InheritanceTest, WithoutItsClientRecordsAreDeliveredAndReportsWaitForIt) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  client_->words().waiting = 5;  // asked of the daemon that is dead
  adopt_without_client();
  EXPECT_EQ(take().records, 2U);
  deliver(0, 7);
  deliver(1, 8);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_FALSE(channel_->must_wake_client());
  EXPECT_EQ(channel_->segments().d2c_header().head.load(), 0U);
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{one, 0, Outcome::delivered, 0, 1, 7},
                                     {two, 0, Outcome::delivered, 0, 1, 8}}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  client_->words().waiting = 1;
  EXPECT_TRUE(channel_->must_wake_client()) << "the head has moved";
}

TEST_F(InheritanceTest, WithoutItsClientASecondDeathSendsNothingTwice) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  const std::uint64_t three = send("three");
  adopt_without_client();
  take();
  deliver(0, 7);
  fail(2);
  ASSERT_TRUE(channel_->finish_round());
  adopt_without_client();
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"two"}));
  deliver(0, 9);
  ASSERT_TRUE(channel_->finish_round());
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{delivered_before(one),
                                     {three, 0, Outcome::unknown, 0, -1, -1},
                                     {two, 0, Outcome::delivered, 0, 1, 9}}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
}

TEST_F(InheritanceTest, ReportsOfAWholeRingFitWhateverTheClientHasReadOfTheOldOnes) {
  open(65536, 4096);
  // Some laps of the report ring, so that the client's word lies anywhere.
  for (int i = 0; i < 300; ++i) {
    send("warm");
    take();
    deliver(sink_->sequences.size() - 1, i * 2);
    ASSERT_TRUE(channel_->finish_round());
    client_->read_reports();
  }
  EXPECT_GT(client_->words().d2c_head.load(), 4096U);
  // As many as the credit rule allows, and no two reports share a frame.
  const std::uint64_t credit = ipc::report_credit(4096, 0);
  for (std::uint64_t i = 0; i < credit; ++i) {
    send("record");
  }
  for (int life = 0; life < 3; ++life) {
    adopt_without_client();
    EXPECT_EQ(take().violation, nullptr);
    for (std::size_t i = 0; i < sink_->sequences.size() / 2; ++i) {
      deliver(i, static_cast<std::int64_t>(i) * 2);
    }
    ASSERT_TRUE(channel_->finish_round());
  }
  for (std::size_t i = sink_->sequences.size() / 2; i < sink_->sequences.size(); ++i) {
    deliver(i, static_cast<std::int64_t>(i) * 2);
  }
  ASSERT_TRUE(channel_->finish_round());
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.size(), credit);
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
}

// ---- death between any two stores ----
//
// One life is acted out on memory of which a copy is kept after every step; each copy is then
// handed to a successor. For each record: an outcome that was reported stays what it was, or may be
// reported again as nothing stronger; a record without one is sent again; and none is passed over.

struct Death {
  std::vector<std::byte> d2c;
  std::uint64_t tail = 0;                            // of c2d
  std::map<std::uint64_t, Outcome> settled;          // by the sink, until then
  std::map<std::uint64_t, ReadReport> seen_reports;  // by the client, until then
  std::vector<std::uint64_t> accepted;               // by the sink, until then
};

class DeathAtEveryStep : public InheritanceTest {
 protected:
  void step() {
    Death death;
    const Segments& s = channel_->segments();
    death.d2c.assign(s.d2c_at(0), s.d2c_at(s.geometry.d2c_bytes));
    death.tail = client_->words().tail;
    death.settled = settled_;
    for (const ReadReport& report : client_->read_reports().records) {
      seen_[report.position] = report;
    }
    death.seen_reports = seen_;
    death.accepted.assign(positions_.begin(), positions_.begin() + static_cast<std::ptrdiff_t>(
                                                                       sink_->sequences.size()));
    deaths_.push_back(std::move(death));
  }

  static ipc::Fd sealed_copy(const std::vector<std::byte>& bytes) {
    ipc::Fd fd(::memfd_create("left-behind", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS,
                      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL),
              0);
    return fd;
  }

  void succeed(const Death& death) {
    client_->words().tail = death.tail;
    const ipc::Geometry geometry = channel_->segments().geometry;
    auto adopted = adopt_segments(geometry, copy_of(channel_->segments().c2d_fd),
                                  sealed_copy(death.d2c), 8, 2);
    ASSERT_TRUE(adopted.ok()) << adopted.error().text;
    const std::uint64_t head = adopted->inheritance.head;
    const std::uint64_t taken = adopted->inheritance.taken;
    ProducerChannel successor(std::move(adopted->segments), settings_, adopted->inheritance);
    RawClient client(successor.segments());
    client.swap_in(successor.segments());
    RememberingSink sink(stats_);
    ASSERT_EQ(successor.take(sink, kOpaqueBase, 1000, kNow).violation, nullptr);
    EXPECT_EQ(successor.taken(), death.tail);
    ASSERT_TRUE(successor.finish_round());
    std::map<std::uint64_t, ReadReport> reported;
    for (const ReadReport& report : client.read_reports().records) {
      EXPECT_TRUE(reported.emplace(report.position, report).second) << "reported twice";
    }
    std::size_t sent_again = 0;
    for (const std::uint64_t position : positions_) {
      if (position >= death.tail) {
        continue;
      }
      const bool was_seen = death.seen_reports.contains(position);
      const auto settled = death.settled.find(position);
      if (position < head) {
        EXPECT_TRUE(was_seen) << "freed at " << position << " without a report";
        EXPECT_FALSE(reported.contains(position));
        continue;
      }
      const bool accepted =
          std::find(death.accepted.begin(), death.accepted.end(), position) != death.accepted.end();
      EXPECT_TRUE(!accepted || position < taken) << "handed over, and nobody knows";
      const auto again = reported.find(position);
      if (again == reported.end()) {
        ++sent_again;
        EXPECT_FALSE(was_seen) << "its outcome at " << position << " is lost";
      } else {
        ASSERT_NE(settled, death.settled.end()) << "an outcome is invented at " << position;
        EXPECT_EQ(again->second.outcome == Outcome::delivered,
                  settled->second == Outcome::delivered);
      }
    }
    EXPECT_EQ(sink.sequences.size(), sent_again) << "each other record is sent once";
    for (const std::uint32_t sequence : sink.sequences) {
      successor.resolve(sequence, {Outcome::delivered, 0, 0, 0}, {});
    }
    ASSERT_TRUE(successor.finish_round());
    EXPECT_EQ(successor.head(), death.tail) << "nothing holds the ring up";
  }

  std::vector<std::uint64_t>
      positions_;  // of the records, in the order they were sent and accepted
  std::map<std::uint64_t, Outcome> settled_;
  std::map<std::uint64_t, ReadReport> seen_;
  std::vector<Death> deaths_;
};

TEST_F(DeathAtEveryStep, NoOutcomeIsLostAndNoneIsInvented) {
  open();
  sink_->on_submit = [this] {
    step();
  };  // in the middle of a turn, before the record is handed over
  std::size_t resolved = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 4; ++i) {
      positions_.push_back(send(std::string(static_cast<std::size_t>(30 + 37 * i), 'v')));
      step();
    }
    ASSERT_EQ(take().records, 4U);
    step();
    // The third first, so that the head stays behind; the last of a round waits for the next one.
    for (const std::size_t index : {resolved + 2, resolved + 1, resolved, resolved + 3}) {
      if (index == resolved + 3 && round % 2 == 0) {
        continue;
      }
      const bool loses = index % 5 == 0;
      settled_[positions_[index]] = loses ? Outcome::failed : Outcome::delivered;
      if (loses) {
        fail(index);
      } else {
        deliver(index, static_cast<std::int64_t>(index));
      }
      step();
    }
    ASSERT_TRUE(channel_->finish_round());
    step();
    if (round % 2 == 0) {
      settled_[positions_[resolved + 3]] = Outcome::delivered;
      deliver(resolved + 3);
      step();
      ASSERT_TRUE(channel_->finish_round());
      step();
    }
    resolved += 4;
    // Each death of this round has its successor now, while the ring still holds what it held then.
    const std::uint64_t tail = client_->words().tail;
    const std::uint64_t reports_read = client_->words().d2c_head;
    for (const Death& death : deaths_) {
      succeed(death);
      if (HasFatalFailure()) {
        return;
      }
    }
    deaths_.clear();
    client_->words().tail = tail;
    client_->words().d2c_head = reports_read;
  }
  EXPECT_GT(positions_.back(), 4096U) << "more than one lap";
}

}  // namespace
}  // namespace kfast::daemon::channel::test
