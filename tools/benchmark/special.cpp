#include "special.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "latency.hpp"
#include "outage.hpp"
#include "progress.hpp"
#include "restart.hpp"
#include "trouble.hpp"

namespace kfast::bench {
namespace {

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
nlohmann::json restarts(Ground& g) {
  return printed(measure_restarts(g.daemon, g.options.brokers, runs(g.options), g.admin),
                 print_restarts);
}

/// The same for one that has goals.
template <typename Figures>
nlohmann::json held(Ground& g, const Figures& figures, void (*print)(const Figures&)) {
  const std::vector<Goal> goals = goals_of(figures);
  g.goals.insert(g.goals.end(), goals.begin(), goals.end());
  return printed(figures, print);
}

nlohmann::json latencies(Ground& g) {
  return held(g, measure_latencies(g.options, g.admin), print_latencies);
}

constexpr auto kAll = std::to_array<Special>({
    {"latency", "from send to report", "latencies", false, latencies},
    {"outage", "outages", "outages", true, outages},
    {"trouble", "a topic in trouble", "troubles", false, troubles},
    {"restart", "restarts", "restarts", false, restarts},
});

}  // namespace

std::span<const Special> special_measurements() {
  return kAll;
}

nlohmann::json run_special_measurements(Ground& ground) {
  Options options = ground.options;
  if (options.quick && options.runs == 0) {
    options.runs = 1;  // three of each would take --quick longer than it may
  }
  Ground with{options, ground.admin, ground.daemon, ground.goals};
  nlohmann::json figures = nlohmann::json::object();
  for (const Special& special : kAll) {
    if (wants(options, special.name) && (!special.stops_broker || options.kafka_pid != 0)) {
      show_progress(special.what);
      figures[special.key] = special.run(with);
      std::fflush(stdout);
    }
  }
  return figures;
}

}  // namespace kfast::bench
