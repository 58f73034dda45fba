#include "telemetry/reference.hpp"

#include <string_view>

#include "telemetry/counters.hpp"

namespace kfast::daemon::telemetry {
namespace {

using ipc::stats::Kind;
using ipc::stats::TextRole;

std::string texts_of(const ScopeDeclaration& scope, TextRole role) {
  std::string names;
  for (const TextDeclaration& text : scope.texts) {
    if (text.role == role) {
      names += names.empty() ? "`" : ", `";
      names += text.name;
      names += '`';
    }
  }
  return names;
}

}  // namespace

std::string metrics_reference() {
  std::string page =
      "# kfastd's metrics\n\n"
      "Made by `kfastd --print-metrics-reference` from `daemon/telemetry/counters.def`.\n"
      "Counters only grow until kfastd restarts; gauges go up and down. What has no block of its "
      "own\n"
      "in the stats segment, and what a freed block had counted, is shown under `(other)`.\n";
  for (const ScopeDeclaration& scope : scopes()) {
    page += std::string("\n## ") + scope.name + "\n\n";
    const std::string labels = texts_of(scope, TextRole::label);
    page += "Labels: " + (labels.empty() ? "none" : labels) + ".";
    const std::string notes = texts_of(scope, TextRole::note);
    if (!notes.empty()) {
      page += " Shown by `kfastctl stat` only: " + notes + ".";
    }
    if (!scope.keeps_totals) {
      page += " For `kfastctl` only, never in Prometheus: these labels come and go with workers.";
    }
    page += "\n\n| metric | kind | unit | meaning |\n|---|---|---|---|\n";
    for (const CounterDeclaration& counter : scope.counters) {
      page += std::string("| `") + counter.name;
      if (*counter.label != '\0') {
        page += std::string("{") + counter.label + "=\"" + counter.label_value + "\"}";
      }
      page += std::string("` | ") + (counter.kind == Kind::counter ? "counter" : "gauge") + " | " +
              counter.unit + " | " + counter.help + " |\n";
    }
  }
  return page;
}

}  // namespace kfast::daemon::telemetry
