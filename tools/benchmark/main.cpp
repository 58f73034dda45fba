// kfast-bench: kfast beside librdkafka inside the process, against one Kafka, in one run.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemon_process.hpp"
#include "kafka_admin.hpp"
#include "kfast/ipc/fd.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "special.hpp"
#include "table.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

/// Runs this program again as a worker, and reads what it measured.
Measurement measure(const Task& task) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    give_up("no pipe could be made: too many open files?");
  }
  ipc::Fd from(fds[0]);
  ipc::Fd to(fds[1]);
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  ChildProcess worker({self, "--worker", nlohmann::json(task).dump()}, to.get());
  to.reset();
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(from.get(), buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  if (!worker.wait()) {
    give_up(std::string("the worker failed: ") + name_of(task.variant));
  }
  return nlohmann::json::parse(answer).get<Measurement>();
}

/// One run of one variant, its records counted in Kafka.
Measurement measure_and_count(const Task& task, KafkaAdmin& admin) {
  const bool to_kafka = sends_to_kafka(task.variant);
  const std::uint64_t before = to_kafka ? admin.record_count(task.topic) : 0;
  const Measurement m = measure(task);
  const std::uint64_t counted = to_kafka ? admin.record_count(task.topic) - before : 0;
  if (to_kafka && (counted != m.sent || m.delivered != m.sent)) {
    give_up(std::string(name_of(task.variant)) + ": " + std::to_string(m.sent) + " sent, " +
            std::to_string(m.delivered) + " reported delivered, " + std::to_string(counted) +
            " in Kafka");
  }
  return m;
}

void warm_up_broker(const Options& options, KafkaAdmin& admin) {
  show_progress("warming up the broker");
  const std::string topic = "kfast-bench-" + std::to_string(::getpid()) + "-warm-up";
  admin.create_topic(topic);
  for (Task task : broker_warm_up(options)) {
    task.brokers = options.brokers;
    task.topic = topic;
    static_cast<void>(measure_and_count(task, admin));
  }
  admin.delete_topic(topic);
  show_progress("");
}

Task task_of(const Case& c, Variant variant, const Options& options) {
  Task task = c.task;
  task.variant = variant;
  task.brokers = options.brokers;
  task.ring_bytes = options.ring_bytes;
  return task;
}

CaseResult run_case(const Case& c, const Options& options, KafkaAdmin& admin) {
  CaseResult result{c, {}};
  for (const Variant variant : c.variants) {
    result.series.push_back({task_of(c, variant, options), {}});
  }
  for (int run = 0; run < runs(options); ++run) {
    // A topic per turn, deleted after it: the disk holds one turn's records.
    const std::string topic = "kfast-bench-" + std::to_string(::getpid()) + "-" +
                              std::to_string(std::hash<std::string>{}(c.title) % 10'000) + "-" +
                              std::to_string(run);
    const bool needs_topic = std::any_of(c.variants.begin(), c.variants.end(), sends_to_kafka);
    if (needs_topic) {
      admin.create_topic(topic);
    }
    // A kfastd per turn, too: one that has seen the deleted topics of all turns before would pay for
    // them, and a producer in the process knows of none but its own.
    const DaemonProcess daemon({options.kfastd, options.brokers, options.trusted, {}, {}});
    for (std::size_t i = 0; i < result.series.size(); ++i) {
      // Another one begins each time: none is always the first on a new topic, or after a flood.
      Series& series = result.series[(i + static_cast<std::size_t>(run)) % result.series.size()];
      show_progress(c.title + ": " + name_of(series.task.variant) + ", run " +
                    std::to_string(run + 1));
      series.task.topic = topic;
      series.task.daemon_pid = is_kfast(series.task.variant) ? daemon.pid() : 0;
      series.runs.push_back(measure_and_count(series.task, admin));
    }
    if (needs_topic) {
      admin.delete_topic(topic);
    }
  }
  show_progress("");
  return result;
}

void print_left_out(const Options& options) {
  constexpr std::size_t kColumns = 120;
  std::string line = "--quick leaves out:";
  const std::vector<std::string> titles = left_out(options);
  for (const std::string& title : titles) {
    const std::string next = " " + title + (&title == &titles.back() ? "" : ";");
    if (line.size() + next.size() > kColumns) {
      std::printf("%s\n", line.c_str());
      line = " ";
    }
    line += next;
  }
  if (!titles.empty()) {
    std::printf("%s\n", line.c_str());
  }
}

void check_way_of_sending(const std::string& name) {
  Options options;
  options.with = name;
  if (!name.empty() && plan(options).empty()) {
    give_up("--with " + name + ": nothing is sent with that; kfast_send and rd_kafka_produce are");
  }
}

int run_all(const Options& options) {
  check_way_of_sending(options.with);
  KafkaAdmin admin(options.brokers);
  print_circumstances(options);
  std::fflush(stdout);
  warm_up_broker(options, admin);
  std::vector<CaseResult> results;
  for (const Case& c : plan(options)) {
    results.push_back(run_case(c, options, admin));
  }
  if (!results.empty()) {
    print_table(results);
    print_left_out(options);
    std::fflush(stdout);
  }
  std::vector<Goal> goals = goals_of(results);
  DaemonProcess daemon({options.kfastd, options.brokers, options.trusted, {}, {}});
  Ground ground{options, admin, daemon, goals};
  nlohmann::json special = run_special_measurements(ground);
  if (results.empty() && special.empty()) {
    give_up("nothing was measured: no case's name contains \"" + options.only + '"' +
            (options.with.empty() ? "" : " and is sent with " + options.with));
  }
  print_goals(goals);
  special["goals"] = goals;
  return options.json.empty() || write_json(options.json, options, results, special) ? EXIT_SUCCESS
                                                                                     : EXIT_FAILURE;
}

int run_worker(const std::string& text) {
  const Measurement m = run_task(nlohmann::json::parse(text).get<Task>());
  std::printf("%s\n", nlohmann::json(m).dump().c_str());
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace kfast::bench

int main(int argc, char** argv) {
  kfast::bench::Options options;
  std::string worker;
  std::string role;
  CLI::App app{
      "kfast-bench: measures kfast beside librdkafka inside the process; tools/bench starts a "
      "Kafka for it"};
  app.add_option("--brokers", options.brokers, "a Kafka to send to, host:port");
  app.add_option("--kfastd", options.kfastd, "the kfastd to start");
  app.add_option(
      "--kafka-pid", options.kafka_pid,
      "its process, which is stopped for a while to measure an outage; else none is measured");
  app.add_option("--ring", options.ring_bytes, "kfast's option ring.bytes")->capture_default_str();
  app.add_option("--runs", options.runs,
                 "runs of each row, and of the rest [5, with --quick 3 and 1]");
  app.add_option("--only", options.only, "only the cases whose name contains this");
  app.add_option("--with", options.with, "only this way of sending, such as rd_kafka_produce");
  app.add_option("--json", options.json, "write every run's figures to this file");
  app.add_flag("--quick", options.quick,
               "some of the rows, a quarter of the records, three runs of each row and one of the "
               "rest: under two minutes");
  app.add_flag("--trusted", options.trusted,
               "kfastd trusts the workers: it does not copy their records");
  app.add_option("--topics", options.topics, "topics: how many [10,100,1000, with --quick 10,100]")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000));
  app.add_option("--linger-ms", options.linger_ms, "topics: both sides' linger.ms");
  app.add_option("--nap-us", options.nap_us, "topics: kfastd's nap_us");
  app.add_option("--worker", worker)->group("");
  app.add_option("--role", role)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!worker.empty()) {
    return kfast::bench::run_worker(worker);
  }
  if (!role.empty()) {
    kfast::bench::run_special_worker(role);
    return EXIT_SUCCESS;
  }
  if (options.brokers.empty() || options.kfastd.empty()) {
    std::fprintf(stderr,
                 "kfast-bench: --brokers and --kfastd are needed; tools/bench gives both\n");
    return EXIT_FAILURE;
  }
  return kfast::bench::run_all(options);
}
