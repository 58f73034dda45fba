#include "plan.hpp"

#include <algorithm>

namespace kfast::bench {

std::vector<Case> plan(const Options& options) {
  const std::uint64_t share = options.quick ? 4 : 1;
  const std::vector<Variant> flooding = {Variant::kfast, Variant::produce, Variant::produce_batch};
  const std::vector<Variant> paced = {Variant::kfast, Variant::produce, Variant::pacing};
  std::vector<Case> cases = {
      {"ring 100 B, flooding", 100, 0, 8'000'000 / share, 200'000, {Variant::ring}},
      {"100 B, flooding", 100, 0, 4'000'000 / share, 200'000, flooding},
      {"1 KiB, flooding", 1024, 0, 800'000 / share, 50'000, flooding},
      {"100 B, paced 20 k/s", 100, 20'000, 80'000 / share, 50'000, paced},
      {"1 KiB, paced 20 k/s", 1024, 20'000, 80'000 / share, 50'000, paced},
  };
  for (Case& c : cases) {
    std::erase_if(c.variants,
                  [&](Variant v) { return !options.with.empty() && options.with != name_of(v); });
  }
  std::erase_if(cases,
                [&](const Case& c) { return c.variants.empty() || !wants(options, c.title); });
  return cases;
}

bool wants(const Options& options, const std::string& title) {
  return title.find(options.only) != std::string::npos;
}

int runs(const Options& options) {
  if (options.runs > 0) {
    return options.runs;
  }
  return options.quick ? 3 : 5;
}

}  // namespace kfast::bench
