#include <string>

#include "table.hpp"

namespace kfast::bench {
namespace {

using Bound = Goal::Bound;

constexpr double kSendToProduce = 0.25;
constexpr double kSendToRing = 1.5;
constexpr double kRateToProduce = 1;
constexpr double kCpuToProduce = 1;
constexpr double kWorkerShare = 0.15;

class GoalsOfCase {
 public:
  GoalsOfCase(const CaseResult& result, const Series& kfast, const Series& produce)
      : result_(result), kfast_(median(kfast)), produce_(median(produce)) {}

  /// As measured: the clock's part, which both have, is against us.
  void sends(std::vector<Goal>& goals) const {
    add(goals, "P1", "a send, p50, to rd_kafka_produce's", Bound::at_most, kSendToProduce,
        kfast_.send_p50_ns, produce_.send_p50_ns);
    if (task().rate != 0) {
      add(goals, "P1", "a send, p99, to rd_kafka_produce's", Bound::at_most, kSendToProduce,
          kfast_.send_p99_ns, produce_.send_p99_ns);
    } else if (const Series* ring = find(result_, {Variant::ring}); ring != nullptr) {
      // Without the clock, which would be for us here.
      add(goals, "P1", "a send without the clock, to a bare SPSC ring's", Bound::at_most,
          kSendToRing, kfast_.net_ns, median(*ring).net_ns);
    }
  }
  void rates(std::vector<Goal>& goals) const {
    if (task().rate == 0) {
      add(goals, "P2", "delivered records/s, to rd_kafka_produce's", Bound::at_least,
          kRateToProduce, kfast_.records_per_second(task()), produce_.records_per_second(task()));
    }
  }
  void cpu(std::vector<Goal>& goals) const {
    add(goals, "P4", "CPU a record, worker and kfastd, to rd_kafka_produce's", Bound::at_most,
        kCpuToProduce, kfast_.cpu_us(), produce_.cpu_us());
    add(goals, "P4", "the worker's share of that", Bound::at_most, kWorkerShare,
        kfast_.worker_cpu_us, kfast_.cpu_us());
  }

 private:
  [[nodiscard]] const Task& task() const { return result_.plan.task; }

  void add(std::vector<Goal>& goals, const char* id, const char* what, Bound bound, double limit,
           double value, double to) const {
    if (value > 0 && to > 0) {
      goals.push_back({result_.plan.title + ": " + what, bound, limit, value / to, "", id});
    }
  }

  const CaseResult& result_;
  Measurement kfast_;
  Measurement produce_;
};

}  // namespace

std::vector<Goal> goals_of(const std::vector<CaseResult>& results) {
  std::vector<GoalsOfCase> cases;
  for (const CaseResult& result : results) {
    const Task& task = result.plan.task;
    const Series* kfast = find(result, {Variant::send});
    const Series* produce = find(result, {Variant::produce});
    if (kfast != nullptr && produce != nullptr && !task.keys && !task.headers && !task.made) {
      cases.emplace_back(result, *kfast, *produce);
    }
  }
  std::vector<Goal> goals;
  for (const auto add : {&GoalsOfCase::sends, &GoalsOfCase::rates, &GoalsOfCase::cpu}) {
    for (const GoalsOfCase& one : cases) {
      (one.*add)(goals);
    }
  }
  return goals;
}

}  // namespace kfast::bench
