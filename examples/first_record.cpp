// Sends one record with a header and prints its delivery report. Build and run it as README.md
// says.
#include <iostream>
#include <kfast/kfast.hpp>

int main() {
  auto producer = kfast::Producer::open();
  if (!producer) {
    std::cerr << producer.error().message() << '\n';
    return 1;
  }
  const kfast::Header headers[] = {{"source", "example"}};
  auto topic = producer->topic("lines");
  if (!topic || !producer->send(*topic, "key", "value", {.headers = headers}) ||
      !producer->flush(std::chrono::seconds(5))) {
    std::cerr << producer->last_error() << '\n';
    return 1;
  }
  kfast::Report report{};
  for (auto count = producer->reports({&report, 1}); count && *count == 1;
       count = producer->reports({&report, 1})) {
    std::cout << "outcome " << report.outcome << " error " << kfast_kafka_error(report.error)
              << " partition " << report.partition << " offset " << report.offset << '\n';
  }
}
