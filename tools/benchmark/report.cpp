#include "report.hpp"

#include <librdkafka/rdkafka.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "kafka_admin.hpp"
#include "kafka_settings.hpp"
#include "kfast/kfast.h"
#include "record_source.hpp"

namespace kfast::bench {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown";
}

std::string kernel() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

double load() {
  double average = 0;
  return ::getloadavg(&average, 1) == 1 ? average : -1;
}

nlohmann::json settings_json(std::span<const Setting> settings) {
  nlohmann::json json;
  for (const Setting& setting : settings) {
    json[setting.name] = setting.value;
  }
  return json;
}

void print_settings(const char* title, std::span<const Setting> settings) {
  std::printf("%s:", title);
  for (const Setting& setting : settings) {
    std::printf(" %s=%s", setting.name, setting.value);
  }
  std::printf("\n");
}

}  // namespace

void print_circumstances(const Options& options) {
  std::printf("kfast-bench %s, librdkafka %s, %d runs of each row, turn by turn%s\n",
              kfast_version(), rd_kafka_version_str(), runs(options),
              options.quick ? " (--quick)" : "");
  std::printf(
      "machine: %s, %u cores shared by worker, kfastd and whatever else runs here; %s; load %.1f\n",
      processor().c_str(), std::thread::hardware_concurrency(), kernel().c_str(), load());
  std::printf(
      "topics: %d partitions, one replica; reports: all, read on both sides\n"
      "records: values of one repeated byte; key: one of %zu, of %zu bytes; 2 headers: ",
      kPartitions, kDifferentKeys, kKeyBytes);
  for (const Header& header : kHeaders) {
    std::printf("%s=%s%s", header.name.data(), header.value.data(),
                &header == &kHeaders.back() ? "\n" : ", ");
  }
  print_settings("librdkafka on both sides", common_settings());
  print_settings("librdkafka in the worker only", in_process_settings());
  std::printf(
      "kfast: ring.bytes=%s (32m by default here, since librdkafka in the worker may queue as "
      "much; "
      "flooded, both run full at times: \"full\" in the file of --json)\n\n",
      options.ring_bytes.c_str());
  if (options.trusted) {
    std::printf("kfastd trusts the workers: it does not copy their records.\n\n");
  }
}

bool write_json(const std::string& path, const Options& options,
                const std::vector<CaseResult>& results, const nlohmann::json& special) {
  nlohmann::json json = {{"kfast", kfast_version()},
                         {"librdkafka", rd_kafka_version_str()},
                         {"processor", processor()},
                         {"cores", std::thread::hardware_concurrency()},
                         {"kernel", kernel()},
                         {"runs", runs(options)},
                         {"partitions", kPartitions},
                         {"ring_bytes", options.ring_bytes},
                         {"trusted", options.trusted},
                         {"settings", settings_json(common_settings())},
                         {"settings_in_process", settings_json(in_process_settings())}};
  for (const CaseResult& result : results) {
    for (const Series& series : result.series) {
      json["rows"].push_back({{"case", result.plan.title},
                              {"task", series.task},
                              {"median", median(series)},
                              {"all", series.runs}});
    }
  }
  json.update(special);
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) {
    std::fprintf(stderr, "kfast-bench: cannot write %s: does its folder exist?\n", path.c_str());
    return false;
  }
  return true;
}

}  // namespace kfast::bench
