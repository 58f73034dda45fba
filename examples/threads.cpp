// One producer for several threads (thread.safe=true). Each record carries an opaque, a pointer
// that comes back with its report: here it says which thread sent it, whichever thread reads it.
//
//   c++ -std=c++20 -pthread threads.cpp -o threads $(pkg-config --cflags --libs kfast)
//   ./threads [TOPIC]
#include <array>
#include <atomic>
#include <iostream>
#include <kfast/kfast.hpp>
#include <string>
#include <thread>

namespace {

constexpr int records_each = 1000;

struct Sender {
  std::string name;
  std::atomic<int> delivered = 0;
};

void read_reports(kfast::Producer& producer) {
  std::array<kfast::Report, 256> reports;
  std::array<void*, 256> opaques;
  for (auto count = producer.reports(reports, opaques); count && *count > 0;
       count = producer.reports(reports, opaques)) {
    for (std::size_t i = 0; i < *count; ++i) {
      if (reports[i].outcome == KFAST_DELIVERED) {
        ++static_cast<Sender*>(opaques[i])->delivered;
      }
    }
  }
}

void send_all(kfast::Producer& producer, std::int32_t topic, Sender& sender) {
  // When the ring is full a send waits for room, and the other threads go on.
  const kfast::SendExtras extras = {.timeout = std::chrono::seconds(10), .opaque = &sender};
  for (int n = 0; n < records_each; ++n) {
    if (!producer.send(topic, sender.name, std::to_string(n), extras)) {
      // The thread's own last error, whatever the others do.
      std::cerr << sender.name + ": " + producer.last_error() + "\n";
      return;
    }
    if (n % 100 == 0) {
      read_reports(producer);  // reports that nobody reads make the ring full, too
    }
  }
  if (!producer.flush(std::chrono::seconds(10))) {
    std::cerr << sender.name + ": " + producer.last_error() + "\n";
  }
  read_reports(producer);
}

}  // namespace

int main(int argc, char** argv) {
  kfast::Options options;
  auto set = options.set("thread.safe", "true");
  auto producer = set ? kfast::Producer::open(options) : set.error();
  if (!producer) {
    std::cerr << producer.error().message() << '\n';
    return 1;
  }
  auto topic = producer->topic(argc > 1 ? argv[1] : "lines");
  if (!topic) {
    std::cerr << producer->last_error() << '\n';
    return 1;
  }
  std::array<Sender, 3> senders = {{{"red"}, {"green"}, {"blue"}}};
  {
    std::array<std::jthread, senders.size()> threads;
    for (std::size_t i = 0; i < senders.size(); ++i) {
      threads[i] = std::jthread([&, i] { send_all(*producer, *topic, senders[i]); });
    }
  }
  for (const Sender& sender : senders) {
    std::cout << sender.name << ": " << sender.delivered << " delivered\n";
  }
}
