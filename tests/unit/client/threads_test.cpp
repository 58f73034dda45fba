// One producer, several threads: nobody waits for ever, and everybody gets what is his.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

class Threads : public OpenProducer {
 protected:
  void open_shared(std::uint64_t ring_bytes = 65536, std::uint64_t report_bytes = 16384) {
    open(ring_bytes, report_bytes, 16, "all", true);
  }

  void await_armed(std::uint64_t times = 1) {
    while (channel->c2d().waiting.load() < times) {
      std::this_thread::yield();
    }
  }

  void answer(std::uint64_t position, std::uint64_t head) {
    channel->report({position}, static_cast<std::int64_t>(position));
    channel->move_head(head);
    session.wake();
  }

  /// Plays kfastd for whatever is sent, until told to stop.
  class Daemon {
   public:
    explicit Daemon(Threads& test) : test_(test), thread_([this] { serve(); }) {}
    ~Daemon() { stop(); }
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    void stop() {
      over_ = true;
      if (thread_.joinable()) {
        thread_.join();
      }
    }

   private:
    void serve() {
      FakeChannel& channel = *test_.channel;
      std::uint64_t head = channel.d2c().head.load();
      std::uint64_t served = 0;
      while (!over_) {
        std::vector<std::uint64_t> positions;
        const std::uint64_t tail = channel.c2d().tail.load();
        while (head != tail && positions.size() < 5) {
          const auto frame = channel.read<ipc::RecordHead>(head);
          if (frame.kind == ipc::FrameKind::record) {
            positions.push_back(head);
          }
          head += ipc::align_up(frame.size, ipc::kFrameAlign);
        }
        if (positions.empty()) {
          std::this_thread::yield();
          continue;
        }
        channel.report(positions, static_cast<std::int64_t>(positions[0]));
        channel.move_head(head);
        ipc::HostAtomics::fence_seq_cst();
        if (const std::uint64_t asked = channel.c2d().waiting.load(); asked != served) {
          served = asked;
          test_.session.wake();
        }
      }
    }

    Threads& test_;
    std::atomic<bool> over_{false};
    std::thread thread_;
  };

  void come_back() {
    daemon.stop();
    session.close();
    const auto old = std::move(channel);
    channel.reset();
    daemon.start();
    session = daemon.accept();
    static_cast<void>(session.receive().as<ipc::Hello>());
    session.welcome();
    Message message = session.receive();
    const auto request = message.as<ipc::ResumeProducer>();
    ASSERT_EQ(message.fds.size(), 2U);
    channel.emplace(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
    session.resume(*channel, request.request);
    static_cast<void>(session.receive().as<ipc::Confirm>());
  }

  [[nodiscard]] kfast_record_t record(void* opaque = nullptr) const {
    kfast_record_t made = KFAST_RECORD_INIT;
    made.topic = topic;
    made.value = "value";
    made.value_size = 5;
    made.opaque = opaque;
    return made;
  }
};

TEST_F(Threads, NoRecordIsMadeInPlaceWhereOthersWouldHaveToWaitForIt) {
  open_shared();
  kfast_record_t record = KFAST_RECORD_INIT;
  record.topic = topic;
  void* value = &record;
  EXPECT_EQ(kfast_reserve(producer, &record, &value), KFAST_ERR_INVALID);
  EXPECT_EQ(value, nullptr);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "thread.safe"), nullptr);
  EXPECT_EQ(kfast_send_batch(producer, &record, 1, 0), 1);
}

TEST_F(Threads, EveryRecordHasOneReportWhoeverSendsWaitsFlushesAndReads) {
  open_shared();
  constexpr int kEach = 400;
  constexpr int kOfAKind = 3;
  std::mutex guard;
  std::multiset<std::int64_t> sent;
  std::multiset<std::int64_t> reported;
  std::multiset<const void*> opaques;
  std::vector<int> marks(kEach);
  std::atomic<int> working{0};
  std::vector<std::thread> threads;
  const auto start = [&](auto work) {
    ++working;
    threads.emplace_back([&, work] {
      work();
      --working;
    });
  };
  const auto note = [&](std::multiset<std::int64_t>& set, std::int64_t position) {
    const std::lock_guard lock(guard);
    set.insert(position);
  };
  std::optional<Daemon> kfastd(std::in_place, *this);
  for (int kind = 0; kind < kOfAKind; ++kind) {
    start([&] {  // sends and waits
      for (int i = 0; i < kEach; ++i) {
        kfast_report_t report;
        const kfast_record_t one = record();
        ASSERT_EQ(kfast_send_wait(producer, &one, -1, &report), KFAST_OK)
            << kfast_last_error(producer);
        note(sent, report.position);
        note(reported, report.position);
      }
    });
    start([&] {  // only sends
      for (int i = 0; i < kEach; ++i) {
        const std::int64_t position = kfast_send_record(
            producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1, nullptr, 0, -1);
        ASSERT_GE(position, 0) << kfast_last_error(producer);
        note(sent, position);
      }
    });
    start([&] {  // sends and flushes, some with too little time
      for (int i = 0; i < kEach; ++i) {
        const std::int64_t position = kfast_send(producer, topic, nullptr, 0, "v", 1);
        if (position >= 0) {
          note(sent, position);
        }
        const int flushed = kfast_flush(producer, i % 4 - 1);
        ASSERT_TRUE(flushed == KFAST_OK || flushed == KFAST_ERR_TIMED_OUT);
      }
    });
  }
  start([&] {  // with opaques
    for (int& mark : marks) {
      const kfast_record_t one = record(&mark);
      const std::int64_t position = kfast_send_one(producer, &one, -1);
      ASSERT_GE(position, 0) << kfast_last_error(producer);
      note(sent, position);
    }
  });
  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  for (int kind = 0; kind < 2; ++kind) {
    readers.emplace_back([&] {
      kfast_report_t reports[16];
      void* with[16];
      while (!over) {
        const int count = kfast_reports_opaque(producer, reports, with, 16);
        ASSERT_GE(count, 0) << kfast_last_error(producer);
        const std::lock_guard lock(guard);
        for (int i = 0; i < count; ++i) {
          reported.insert(reports[i].position);
          if (with[i] != nullptr) {
            opaques.insert(with[i]);
          }
        }
      }
    });
  }
  // kfastd is replaced while all of them are at it.
  for (int restart = 0; restart < 3; ++restart) {
    const std::uint64_t before = channel->c2d().tail.load();
    while (working != 0 && channel->c2d().tail.load() < before + 4000) {
      std::this_thread::yield();
    }
    kfastd->stop();
    come_back();
    kfastd.emplace(*this);
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
  const auto is_whole = [&] {
    const std::lock_guard lock(guard);
    return reported.size() >= sent.size();
  };
  while (!is_whole()) {
    std::this_thread::yield();
  }
  over = true;
  for (auto& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(reported, sent);
  std::multiset<const void*> wanted;
  for (const int& mark : marks) {
    wanted.insert(&mark);
  }
  EXPECT_EQ(opaques, wanted);
}

TEST_F(Threads, NobodyIsForgottenWhereAllOnlyWait) {
  // No call looks in passing: whoever misses his wake-up waits for ever.
  open_shared();
  const Daemon kfastd(*this);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 500; ++round) {
        kfast_report_t report;
        const kfast_record_t one = record();
        ASSERT_EQ(kfast_send_wait(producer, &one, -1, &report), KFAST_OK)
            << kfast_last_error(producer);
        // Some wait for themselves, some for all, some not long enough.
        if (i >= 4) {
          ASSERT_EQ(kfast_flush(producer, -1), KFAST_OK);
        } else if (i >= 2) {
          static_cast<void>(kfast_flush(producer, round % 2));
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(kfast_used_bytes(producer), 0U);
}

TEST_F(Threads, AWaitGoesOnWhenTheOneThatPolledForItGivesUp) {
  open_shared();
  for (int round = 0; round < 20; ++round) {
    const std::int64_t position = send_frame(24);
    const std::int64_t other = send_frame(24);
    const std::uint64_t asked = channel->c2d().waiting.load();
    kfast_report_t report;
    kfast_report_t others;
    auto hasty =
        std::async(std::launch::async, [&] { return kfast_wait(producer, other, 3, &others); });
    if (round != 0) {
      await_armed(asked);
    } else {
      await_armed(asked + 1);
    }
    auto patient =
        std::async(std::launch::async, [&] { return kfast_wait(producer, position, -1, &report); });
    EXPECT_EQ(hasty.get(), KFAST_ERR_TIMED_OUT);
    answer(static_cast<std::uint64_t>(position), static_cast<std::uint64_t>(other));
    EXPECT_EQ(patient.get(), KFAST_OK);
    answer(static_cast<std::uint64_t>(other), static_cast<std::uint64_t>(other) + 24);
    EXPECT_EQ(kfast_wait(producer, other, -1, &others), KFAST_OK);
  }
}

TEST_F(Threads, AWakeUpThatAnotherThreadTookWakesAllWaits) {
  open_shared();
  std::vector<std::future<int>> waits;
  std::vector<kfast_report_t> reports(8);
  for (std::size_t i = 0; i < reports.size(); ++i) {
    ASSERT_EQ(send_frame(24), static_cast<std::int64_t>(i) * 24);
  }
  for (std::size_t i = 0; i < reports.size(); ++i) {
    waits.push_back(std::async(std::launch::async, [&, i] {
      return kfast_wait(producer, static_cast<std::int64_t>(i) * 24, -1, &reports[i]);
    }));
  }
  auto flushing = std::async(std::launch::async, [&] { return kfast_flush(producer, -1); });
  await_armed();
  for (std::uint64_t i = 0; i < reports.size(); ++i) {
    channel->report({i * 24}, static_cast<std::int64_t>(i));
  }
  channel->move_head(reports.size() * 24);
  session.wake();
  // This one takes no report, but maybe the packet.
  EXPECT_EQ(kfast_flush(producer, 0), KFAST_OK);
  for (std::size_t i = 0; i < waits.size(); ++i) {
    EXPECT_EQ(waits[i].get(), KFAST_OK);
    EXPECT_EQ(reports[i].offset, static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(flushing.get(), KFAST_OK);
}

TEST_F(Threads, OfTwoThatWaitForOneRecordOneHasIt) {
  open_shared();
  ASSERT_EQ(send_frame(24), 0);
  kfast_report_t reports[2];
  auto first =
      std::async(std::launch::async, [&] { return kfast_wait(producer, 0, -1, &reports[0]); });
  auto second =
      std::async(std::launch::async, [&] { return kfast_wait(producer, 0, -1, &reports[1]); });
  await_armed();
  answer(0, 24);
  const int answers[] = {first.get(), second.get()};
  EXPECT_EQ((std::multiset<int>{answers[0], answers[1]}),
            (std::multiset<int>{KFAST_OK, KFAST_ERR_INVALID}));
}

TEST_F(Threads, AnEventLoopHearsOfReportsWhileAnotherThreadFlushes) {
  open_shared();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  EXPECT_TRUE(all_reports().empty());
  auto flushing = std::async(std::launch::async, [&] { return kfast_flush(producer, -1); });
  await_armed();
  channel->report({0}, 1);
  channel->move_head(24);
  session.wake();
  await_armed(2);  // the flush took the packet, and waits on
  pollfd watched{kfast_fd(producer), POLLIN, 0};
  ASSERT_EQ(::poll(&watched, 1, 30'000), 1);
  EXPECT_EQ(all_reports().size(), 1U);
  answer(24, 48);
  EXPECT_EQ(flushing.get(), KFAST_OK);
}

TEST_F(Threads, AFlushDoesNotWaitForWhatOthersSendMeanwhile) {
  open_shared();
  ASSERT_EQ(send_frame(24), 0);
  auto flushing = std::async(std::launch::async, [&] { return kfast_flush(producer, -1); });
  await_armed();
  ASSERT_EQ(send_frame(24), 24);
  answer(0, 24);
  EXPECT_EQ(flushing.get(), KFAST_OK);
  EXPECT_EQ(kfast_used_bytes(producer), 24U);
}

TEST_F(Threads, ASendThatWaitsForCreditGoesOnWhenAnotherThreadReads) {
  open_shared(65536, 4096);
  std::uint64_t head = 0;
  while (send_frame(24) >= 0) {
    channel->report({head}, 0);
    head += 24;
    channel->move_head(head);
  }
  auto sending = std::async(std::launch::async, [&] {
    return kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1,
                             nullptr, 0, -1);
  });
  await_armed();
  EXPECT_FALSE(all_reports().empty());
  EXPECT_EQ(sending.get(), static_cast<std::int64_t>(head));
}

TEST_F(Threads, AllHearOfTheChannelsEnd) {
  open_shared();
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(send_frame(24), i * 24);
  }
  std::vector<std::future<std::string>> calls;
  const auto start = [&](auto call) {
    calls.push_back(std::async(std::launch::async, [&, call] {
      EXPECT_EQ(call(), KFAST_ERR_CLOSED);
      return std::string(kfast_last_error(producer));
    }));
  };
  for (int i = 0; i < 6; ++i) {
    start([&, i] {
      kfast_report_t report;
      return kfast_wait(producer, i * 24, -1, &report);
    });
  }
  start([&] { return kfast_flush(producer, -1); });
  start([&] {
    kfast_report_t report;
    const kfast_record_t one = record();
    return kfast_send_wait(producer, &one, -1, &report);
  });
  await_armed();
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::violation;
  ipc::put_text(notice.text, "a frame of size 0");
  session.send(notice);
  session.close();
  for (auto& call : calls) {
    EXPECT_NE(call.get().find("a frame of size 0"), std::string::npos);
  }
}

TEST_F(Threads, EachHasTheWordsOfItsOwnFailure) {
  open_shared();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      EXPECT_STREQ(kfast_last_error(producer), "");
      const std::string name = "no topic " + std::string(static_cast<std::size_t>(50 * i), 'x');
      for (int round = 0; round < 300; ++round) {
        EXPECT_EQ(kfast_topic(producer, name.c_str()), KFAST_ERR_TOPIC_NAME);
        const char* words = kfast_last_error(producer);
        static_cast<void>(kfast_used_bytes(producer));
        EXPECT_NE(std::strstr(words, ("\"" + name + "\"").c_str()), nullptr) << words;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_STREQ(kfast_last_error(producer), "");
}

TEST_F(Threads, ABatchThatIsAcceptedInPartSaysWhyToItsThread) {
  open_shared();
  kfast_record_t records[] = {record(), record()};
  records[1].topic = 4711;
  EXPECT_EQ(kfast_send_batch(producer, records, 2, 0), 1);
  EXPECT_EQ(records[1].position, KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "4711"), nullptr);
  std::thread([&] { EXPECT_STREQ(kfast_last_error(producer), ""); }).join();
}

struct Cancelled {
  kfast_producer_t* producer;
  std::atomic<bool> returned;
};

void* wait_and_be_cancelled(void* argument) {
  auto* shared = static_cast<Cancelled*>(argument);
  kfast_report_t report;
  shared->returned = kfast_wait(shared->producer, 0, -1, &report) == KFAST_OK;
  for (;;) {
    ::pthread_testcancel();
  }
}

TEST_F(Threads, AThreadIsCancelledAfterItsCallAndLeavesTheProducerWhole) {
  open_shared();
  ASSERT_EQ(send_frame(24), 0);
  Cancelled shared{producer, {false}};
  pthread_t thread{};
  ASSERT_EQ(::pthread_create(&thread, nullptr, wait_and_be_cancelled, &shared), 0);
  await_armed();
  ASSERT_EQ(::pthread_cancel(thread), 0);
  EXPECT_EQ(kfast_used_bytes(producer), 24U);
  answer(0, 24);
  void* result = nullptr;
  ASSERT_EQ(::pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_TRUE(shared.returned);
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
}

}  // namespace
}  // namespace kfast::test
