#include "series.hpp"

#include <algorithm>

#include "samples.hpp"

namespace kfast::bench {
Measurement median(const Series& series) {
  Measurement m;
  for (const auto field : {&Measurement::send_p50_ns, &Measurement::send_p99_ns,
                           &Measurement::net_ns, &Measurement::clock_ns, &Measurement::seconds,
                           &Measurement::worker_cpu_us, &Measurement::daemon_cpu_us}) {
    m.*field = median_of(series.runs, field);
  }
  if (!series.runs.empty()) {
    m.sent = series.runs.front().sent;
    m.delivered = series.runs.front().delivered;
  }
  return m;
}

const Series* find(const CaseResult& result, std::initializer_list<Variant> variants) {
  const auto found = std::find_if(result.series.begin(), result.series.end(), [&](const Series& s) {
    return std::find(variants.begin(), variants.end(), s.task.variant) != variants.end();
  });
  return found == result.series.end() ? nullptr : &*found;
}

}  // namespace kfast::bench
