// What the order "done bit, report, head" gives: whoever sees the head behind a record sees its
// report and its done bit; and what the credit rule gives: a report always fits.
#include "model.hpp"

namespace kfast::ipc::model {
namespace {

// ---- done bit, report, head ---------------------------------------------------------------------

enum class Order { done_report_head, report_done_head, done_head_report };

constexpr std::uint64_t kRecords = 3;
constexpr std::uint64_t kC2dCapacity = 64;
constexpr std::uint64_t kD2cCapacity = 4096;

/// The mutations concern the head word alone; the reports are always published and read as they
/// should be.
template <Order kOrder, class DaemonMutation = Honest, class ClientMutation = Honest>
struct OutcomeSuite : rl::test_suite<OutcomeSuite<kOrder, DaemonMutation, ClientMutation>, 2> {
  using Daemon = ModelAtomics<Honest>;
  using Client = ModelAtomics<Honest>;
  using HeadWriter = ModelAtomics<DaemonMutation>;
  using HeadReader = ModelAtomics<ClientMutation>;

  rl::atomic<std::uint64_t> c2d_tail;
  rl::atomic<std::uint64_t> c2d_head;
  rl::atomic<std::uint64_t> d2c_tail;
  rl::atomic<std::uint64_t> d2c_head;
  rl::atomic<std::uint32_t> done[kRecords];
  rl::var<std::uint64_t> reports[kRecords];  // the position that each report speaks of

  void before() {
    // The client has published its records already.
    c2d_tail.store(kRecords * kFrameAlign, rl::mo_relaxed, RL_INFO);
    c2d_head.store(0, rl::mo_relaxed, RL_INFO);
    d2c_tail.store(0, rl::mo_relaxed, RL_INFO);
    d2c_head.store(0, rl::mo_relaxed, RL_INFO);
    for (rl::atomic<std::uint32_t>& bit : done) {
      bit.store(0, rl::mo_relaxed, RL_INFO);
    }
  }

  void thread(unsigned index) { index == 0 ? run_daemon() : run_client(); }

  void run_daemon() {
    RingReader<HeadWriter> records(c2d_tail, c2d_head, kC2dCapacity, 0);
    RingWriter<Daemon> out(d2c_tail, d2c_head, kD2cCapacity, 0);
    RL_ASSERT(records.look());
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      records.take(kFrameAlign);
      const auto mark = [&] { Daemon::store_relaxed(done[i], 1); };
      const auto report = [&] {
        Reservation room{};
        RL_ASSERT(out.reserve(kReportBytesPerRecord, room));
        reports[i](RL_INFO).store(i * kFrameAlign);
        out.publish();
      };
      const auto move_head = [&] { records.release(records.taken()); };
      switch (kOrder) {
        case Order::done_report_head:
          mark(), report(), move_head();
          break;
        case Order::report_done_head:
          report(), mark(), move_head();
          break;
        case Order::done_head_report:
          mark(), move_head(), report();
          break;
      }
    }
  }

  void run_client() {
    RingWriter<HeadReader> records(c2d_tail, c2d_head, kC2dCapacity, 0);
    RingReader<Client> in(d2c_tail, d2c_head, kD2cCapacity, 0);
    std::uint64_t reported = 0;
    while (reported < kRecords) {
      const std::uint64_t freed = records.refresh_head() / kFrameAlign;
      for (std::uint64_t i = 0; i < freed; ++i) {
        RL_ASSERT(Client::load_relaxed(done[i]) == 1);
      }
      RL_ASSERT(in.look());
      if (in.unread() == 0) {
        RL_ASSERT(reported >= freed);
        rl::yield(1, RL_INFO);
        continue;
      }
      while (in.unread() != 0) {
        RL_ASSERT(reports[reported](RL_INFO).load() == reported * kFrameAlign);
        RL_ASSERT(Client::load_relaxed(done[reported]) == 1);
        in.take(kReportBytesPerRecord);
        ++reported;
      }
      in.release(in.taken());
      RL_ASSERT(reported >= freed);
    }
  }
};

// ---- credit -------------------------------------------------------------------------------------

constexpr std::uint64_t kRecordsForCredit =
    300;  // several times what the smallest d2c ring has credit for

enum class Credit { honest, head_after_records, ignores_unread };

/// The client sends what its credit allows; the daemon reports each batch in the worst way: frame
/// after frame of one record.
template <Credit kCredit, class ClientMutation = Honest>
struct CreditSuite : rl::test_suite<CreditSuite<kCredit, ClientMutation>, 2> {
  using Daemon = ModelAtomics<Honest>;
  using Client = ModelAtomics<ClientMutation>;

  rl::atomic<std::uint64_t> c2d_tail;
  rl::atomic<std::uint64_t> c2d_head;
  rl::atomic<std::uint64_t> d2c_tail;
  rl::atomic<std::uint64_t> d2c_head;

  void before() {
    for (auto* word : {&c2d_tail, &c2d_head, &d2c_tail, &d2c_head}) {
      word->store(0, rl::mo_relaxed, RL_INFO);
    }
  }

  void thread(unsigned index) { index == 0 ? run_daemon() : run_client(); }

  void run_daemon() {
    RingReader<Daemon> records(c2d_tail, c2d_head, kMinRingBytes, 0);
    RingWriter<Daemon> out(d2c_tail, d2c_head, kMinRingBytes, 0);
    while (records.taken() < kRecordsForCredit * kFrameAlign) {
      RL_ASSERT(records.look());
      if (records.unread() == 0) {
        rl::yield(1, RL_INFO);
        continue;
      }
      // A frame that holds many records may come first, so that what follows meets the ring's end
      // anywhere.
      std::uint64_t count = records.unread() / kFrameAlign;
      const std::uint64_t together = 1 + rl::rand(static_cast<unsigned>(count));
      const std::uint64_t size = align_up(sizeof(ReportHead) + (together - 1), kFrameAlign);
      RL_ASSERT(put_report(out, size));
      for (count -= together; count > 0; --count) {
        RL_ASSERT(put_report(out, sizeof(ReportHead)));
      }
      out.publish();
      records.take(records.unread());
      records.release(records.taken());
    }
  }

  static bool put_report(RingWriter<Daemon>& out, std::uint64_t size) {
    Reservation room{};
    return out.reserve(size, room);
  }

  void run_client() {
    RingWriter<Client> records(c2d_tail, c2d_head, kMinRingBytes, 0);
    RingReader<Client> in(d2c_tail, d2c_head, kMinRingBytes, 0);
    std::uint64_t sent = 0;
    std::uint64_t read = 0;  // records whose reports the client has read, at least
    while (sent < kRecordsForCredit) {
      // The records' own ring says how many of them have a report by now, at least.
      const std::uint64_t reported = records.refresh_head() / kFrameAlign;
      RL_ASSERT(in.look());
      const bool reads = rl::rand(2) == 0;
      if (reads) {
        in.take(in.unread());
        if (kCredit != Credit::head_after_records) {
          in.release(in.taken());
        }
        read = reported;
      }
      constexpr bool kHonest = kCredit != Credit::ignores_unread;
      const std::uint64_t unread = kHonest ? in.unread() : 0;
      const std::uint64_t outstanding = sent - (kHonest ? read : reported);
      const std::uint64_t credit = report_credit(kMinRingBytes, unread);
      if (credit <= outstanding) {
        in.release(in.taken());
        rl::yield(1, RL_INFO);
        continue;
      }
      for (std::uint64_t i = outstanding; i < credit && sent < kRecordsForCredit; ++i, ++sent) {
        Reservation room{};
        RL_ASSERT(records.reserve(kFrameAlign, room));
      }
      records.publish();
      in.release(in.taken());
    }
  }
};

template <Order kOrder, class Daemon = Honest, class Client = Honest>
bool is_out_of_order() {
  return is_caught<OutcomeSuite<kOrder, Daemon, Client>>({}, rl::test_result_user_assert_failed);
}
template <Credit kCredit, class Client = Honest>
bool overflows() {
  return is_caught<CreditSuite<kCredit, Client>>({}, rl::test_result_user_assert_failed);
}

constexpr Check kChecks[] = {
    {"head_comes_after_report_and_done_bit",
     [] { return holds<OutcomeSuite<Order::done_report_head>>({.iterations = 300'000}); }},
    {"head_comes_after_report_and_done_bit_bounded_search",
     [] {
       return holds<OutcomeSuite<Order::done_report_head>>(
           {.type = rl::fair_context_bound_scheduler_type});
     }},
    {"report_before_done_bit_is_caught", is_out_of_order<Order::report_done_head>},
    {"head_before_report_is_caught", is_out_of_order<Order::done_head_report>},
    {"head_without_release_is_caught", is_out_of_order<Order::done_report_head, NoRelease>},
    {"head_without_acquire_is_caught", is_out_of_order<Order::done_report_head, Honest, NoAcquire>},
    {"a_report_always_fits",
     [] { return holds<CreditSuite<Credit::honest>>({.iterations = 150'000}); }},
    {"records_before_read_position_is_caught", overflows<Credit::head_after_records>},
    {"credit_without_unread_is_caught", overflows<Credit::ignores_unread>},
};

}  // namespace
}  // namespace kfast::ipc::model

int main(int argc, char** argv) {
  return kfast::ipc::model::run_named(kfast::ipc::model::kChecks, argc, argv);
}
