#include "plan.hpp"

#include <algorithm>
#include <utility>

namespace kfast::bench {
namespace {

using V = Variant;

/// --quick: so much fewer records.
constexpr std::uint64_t kQuickShare = 4;

std::string title_of(const Task& task) {
  std::string title = size_name(task.value_bytes);
  title += task.keys ? ", key" : "";
  title += task.headers ? ", 2 headers" : "";
  title += task.made ? ", made" : "";
  if (task.rate == 0) {
    return title + ", flooding";
  }
  return title + ", paced " + std::to_string(task.rate / 1000) + " k/s";
}

Task flooding(std::uint32_t bytes) {
  Task task;
  task.value_bytes = bytes;
  task.records = bytes < 1024 ? 2'000'000 : 600'000;
  task.warmup = bytes < 1024 ? 200'000 : 50'000;
  return task;
}

Task paced(std::uint32_t bytes, std::uint32_t rate) {
  Task task;
  task.value_bytes = bytes;
  task.rate = rate;
  const std::uint64_t seconds = rate == 100'000 ? 2 : 3;
  task.records = rate * seconds;
  task.warmup = 20'000;
  return task;
}

/// A thousand keys, two headers, or none of that: what the record has beside its value.
Task with_key(Task task) {
  task.keys = true;
  return task;
}
Task with_headers(Task task) {
  task.headers = true;
  return task;
}

Case flooding_case(const Task& task) {
  std::vector<Variant> variants;
  if (task.headers) {
    variants = {V::send_record, V::reserve, V::produceva};
  } else {
    variants = {V::send, V::reserve, V::send_batch, V::produce, V::produce_batch};
  }
  if (!task.keys && !task.headers) {
    variants.insert(variants.begin(), V::ring);
  }
  return {title_of(task), task, std::move(variants)};
}

Case made_case(std::uint32_t bytes) {
  Task task = flooding(bytes);
  task.made = true;
  return {title_of(task), task, {V::send, V::reserve, V::produce}};
}

Case paced_case(const Task& task) {
  if (task.headers) {
    return {title_of(task), task, {V::send_record, V::reserve, V::produceva}};
  }
  return {title_of(task), task, {V::send, V::reserve, V::produce}};
}

std::vector<Case> all_cases() {
  constexpr std::uint32_t kSizes[] = {100, 1024};
  std::vector<Case> cases;
  for (const std::uint32_t bytes : kSizes) {
    const Task task = flooding(bytes);
    cases.push_back(flooding_case(task));
    cases.push_back(flooding_case(with_key(task)));
    cases.push_back(flooding_case(with_headers(task)));
    cases.push_back(made_case(bytes));
  }
  for (const std::uint32_t bytes : kSizes) {
    for (const std::uint32_t rate : {1'000U, 20'000U, 100'000U}) {
      cases.push_back(paced_case(paced(bytes, rate)));
    }
    cases.push_back(paced_case(with_key(paced(bytes, 20'000))));
    cases.push_back(paced_case(with_headers(paced(bytes, 20'000))));
  }
  return cases;
}

/// What --quick measures of a case: what the goals that matter most are about.
bool quick_has(const Task& task, Variant variant) {
  if (task.keys || task.headers || task.made) {
    return false;
  }
  if (task.rate == 0) {
    return variant != V::send_batch && (variant != V::reserve || task.value_bytes < 1024);
  }
  return task.rate == 20'000 && task.value_bytes < 1024 && variant != V::reserve;
}

/// --only and --with say themselves what is wanted.
bool is_a_choice(const Options& options) {
  return options.quick && options.only.empty() && options.with.empty();
}

}  // namespace

std::string size_name(std::uint32_t bytes) {
  return bytes % 1024 == 0 ? std::to_string(bytes / 1024) + " KiB" : std::to_string(bytes) + " B";
}

std::vector<Case> plan(const Options& options) {
  std::vector<Case> cases = all_cases();
  for (Case& c : cases) {
    std::erase_if(c.variants, [&](Variant v) {
      return (!options.with.empty() && options.with != name_of(v)) ||
             (is_a_choice(options) && !quick_has(c.task, v));
    });
    if (options.quick) {
      c.task.records /= kQuickShare;
      c.task.warmup /= kQuickShare;
    }
  }
  std::erase_if(cases,
                [&](const Case& c) { return c.variants.empty() || !wants(options, c.title); });
  return cases;
}

std::vector<Task> broker_warm_up(const Options& options) {
  std::vector<Task> tasks{flooding(100), flooding(1024)};
  for (Task& task : tasks) {
    task.variant = V::produce;
    task.warmup = 0;
    task.records /= options.quick ? kQuickShare : 1;
  }
  return tasks;
}

std::vector<std::string> left_out(const Options& options) {
  std::vector<std::string> titles;
  if (!is_a_choice(options)) {
    return titles;
  }
  for (const Case& c : all_cases()) {
    std::string absent;
    std::size_t count = 0;
    for (const Variant variant : c.variants) {
      if (!quick_has(c.task, variant)) {
        absent += (count++ == 0 ? " with " : " and ") + std::string(name_of(variant));
      }
    }
    if (count > 0) {
      titles.push_back(count == c.variants.size() ? c.title : c.title + absent);
    }
  }
  return titles;
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
