// An HTTP server that records every request in Kafka by kfast: key = the client's address, value =
// method, path, status and microseconds as JSON. http_server_librdkafka.cpp is the same with
// librdkafka in the process.
//
//   c++ -std=c++20 -pthread http_server.cpp -o http_server
//       $(pkg-config --cflags --libs kfast cpp-httplib)
//   ./http_server PORT TOPIC         and then: curl -X PUT -d 3 http://127.0.0.1:PORT/items/pears
#include <poll.h>

#include <array>
#include <cstdlib>
#include <kfast/kfast.hpp>

#include "service.hpp"

namespace {

// Only records that did not get to Kafka have a report, because of reports=errors.
void print_failures(kfast::Producer& producer) {
  std::array<kfast::Report, 64> reports;
  for (auto count = producer.reports(reports); count && *count > 0;
       count = producer.reports(reports)) {
    for (const kfast::Report& report : std::span(reports).first(*count)) {
      std::cerr << "record " << report.position << ": " << kfast_kafka_error(report.error) << '\n';
    }
  }
}

// One producer for all threads: they are httplib's, which makes them and ends them, and an
// uncontended lock costs nanoseconds. Threads of one's own would have a producer each.
kfast::Expected<kfast::Producer> open_producer() {
  kfast::Options options;
  for (const auto& [name, value] : {std::pair("thread.safe", "true"), {"reports", "errors"}}) {
    if (auto set = options.set(name, value); !set) {
      return set.error();
    }
  }
  return kfast::Producer::open(options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: http_server PORT TOPIC\n";
    return 2;
  }
  Service service;
  auto producer = open_producer();
  if (!producer) {
    std::cerr << producer.error().message() << '\n';
    return 1;
  }
  auto topic = producer->topic(argv[2]);
  if (!topic) {
    std::cerr << producer->last_error() << '\n';
    return 1;
  }

  // A request never waits for Kafka: where the ring is full its record is given up, and said to be.
  const auto record = [&](const std::string& client, const std::string& line) {
    if (!producer->send(*topic, client, line)) {
      std::cerr << std::string("not recorded: ") + producer->last_error() + "\n";
    }
  };
  if (!service.start(std::atoi(argv[1]), record)) {
    return 1;
  }
  std::array<pollfd, 2> wait = {{{service.signal_fd(), POLLIN, 0}, {producer->fd(), POLLIN, 0}}};
  do {
    print_failures(*producer);
    poll(wait.data(), wait.size(), -1);
  } while (wait[0].revents == 0);
  service.stop();
  const auto flushed = producer->flush(std::chrono::seconds(10));
  print_failures(*producer);
  if (!flushed) {
    // They are kfastd's by now: it delivers them after this process has ended, too.
    std::cerr << producer->last_error() << '\n';
  }
  return flushed ? 0 : 1;
}
