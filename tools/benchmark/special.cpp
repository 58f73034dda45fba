#include "special.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "fleet.hpp"
#include "idle.hpp"
#include "latency.hpp"
#include "memory.hpp"
#include "outage.hpp"
#include "progress.hpp"
#include "restart.hpp"
#include "topics.hpp"
#include "trouble.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

struct Special {
  const char* name;                       // as --only takes it
  const char* what;                       // as it runs
  const char* key;                        // of its figures in the JSON file
  bool stops_broker;                      // needs --kafka-pid
  bool in_quick;                          // short enough for --quick
  nlohmann::json (*run)(Ground& ground);  // measures, prints its table, returns its figures
  void (*work)() = nullptr;               // what its worker processes do
};

template <typename Figures>
nlohmann::json printed(const Figures& figures, void (*print)(const Figures&)) {
  show_progress("");
  print(figures);
  return figures;
}

nlohmann::json outages(Ground& g) {
  return printed(measure_outages(g.options.kafka_pid, runs(g.options), g.admin), print_outages);
}
nlohmann::json troubles(Ground& g) {
  return printed(measure_troubles(runs(g.options), g.admin), print_troubles);
}

/// The same for one that has goals.
template <typename Figures>
nlohmann::json held(Ground& g, const Figures& figures, void (*print)(const Figures&)) {
  const std::vector<Goal> goals = goals_of(figures);
  g.goals.insert(g.goals.end(), goals.begin(), goals.end());
  return printed(figures, print);
}

nlohmann::json restarts(Ground& g) {
  return held(g, measure_restarts(g.daemon, g.options.brokers, runs(g.options), g.admin),
              print_restarts);
}
nlohmann::json latencies(Ground& g) {
  return held(g, measure_latencies(g.options, g.admin), print_latencies);
}
nlohmann::json fleets(Ground& g) {
  return held(g, measure_fleet(g), print_fleet);
}
nlohmann::json idle(Ground& g) {
  return held(g, measure_idle(g), print_idle);
}
nlohmann::json memory(Ground& g) {
  return held(g, measure_memory(g), print_memory);
}
nlohmann::json topics(Ground& g) {
  return held(g, measure_topics(g), print_topics);
}

/// In the order in which they run. The last leaves many topics behind, which Kafka deletes later.
constexpr auto kAll = std::to_array<Special>({
    {"latency", "from send to report", "latencies", false, true, latencies},
    {"outage", "outages", "outages", true, true, outages},
    {"trouble", "a topic in trouble", "troubles", false, true, troubles},
    {"restart", "restarts", "restarts", false, true, restarts},
    {"fleet", "16 workers", "fleet", false, true, fleets, work_in_fleet},
    {"idle", "idle workers", "idle", false, true, idle, look_after_idle_workers},
    {"memory", "memory", "memory", false, true, memory, work_for_memory},
    {"topics", "many topics", "topics", false, false, topics, work_on_topics},
});

/// What is asked for by name is not left out.
bool is_left_out(const Special& special, const Options& options) {
  return options.quick && options.only.empty() && !special.in_quick;
}

}  // namespace

int few_runs(const Options& options) {
  return options.runs > 0 ? options.runs : 3;
}

nlohmann::json run_special_measurements(Ground& ground) {
  Options options = ground.options;
  if (options.quick && options.runs == 0) {
    options.runs = 1;  // three of each would take --quick longer than it may
  }
  Ground with{options, ground.admin, ground.daemon, ground.goals};
  nlohmann::json figures = nlohmann::json::object();
  for (const Special& special : kAll) {
    if (!wants(options, special.name) || (special.stops_broker && options.kafka_pid == 0)) {
      continue;
    }
    if (is_left_out(special, options)) {
      std::printf("\n--quick leaves out %s: --only %s\n", special.what, special.name);
      continue;
    }
    show_progress(special.what);
    figures[special.key] = special.run(with);
    std::fflush(stdout);
  }
  return figures;
}

void run_special_worker(const std::string& name) {
  for (const Special& special : kAll) {
    if (name == special.name && special.work != nullptr) {
      special.work();
      return;
    }
  }
  give_up("no measurement with workers of its own is called " + name);
}

}  // namespace kfast::bench
