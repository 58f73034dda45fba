// What a record may have besides key and value, from C++: headers, a timestamp, a partition; and a
// tombstone, which deletes its key from a compacted topic.
//
//   c++ -std=c++20 headers.cpp -o headers $(pkg-config --cflags --libs kfast)
//   ./headers [TOPIC]
#include <array>
#include <chrono>
#include <iostream>
#include <kfast/kfast.hpp>

int main(int argc, char** argv) {
  auto producer = kfast::Producer::open();
  if (!producer) {
    std::cerr << producer.error().message() << '\n';
    return 1;
  }
  const auto failed = [&producer] {
    std::cerr << producer->last_error() << '\n';
    return 1;
  };
  auto topic = producer->topic(argc > 1 ? argv[1] : "lines");
  if (!topic) {
    return failed();
  }

  // A header's value may be null, and names may repeat.
  const std::array<kfast::Header, 3> headers = {{
      {"content-type", "text/plain"},
      {"trace", "4bf92f3577b34da6"},
      {"trace", std::nullopt},
  }};
  const std::chrono::sys_days happened = std::chrono::year(2024) / 2 / 29;
  auto order = producer->send(*topic, "order 17", "two pears",
                              {.partition = 0, .timestamp = happened, .headers = headers});
  auto tombstone = producer->send(*topic, "order 16", std::nullopt, {.partition = 0});
  if (!order || !tombstone || !producer->flush(std::chrono::seconds(10))) {
    return failed();
  }

  std::array<kfast::Report, 2> reports{};
  const auto count = producer->reports(reports).value();
  for (const kfast::Report& report : std::span(reports).first(count)) {
    std::cout << (report.position == *order ? "order" : "tombstone") << ": "
              << kfast_kafka_error(report.error) << " partition " << report.partition << " offset "
              << report.offset << '\n';
  }
}
