#include "fake_libkfast.hpp"

#include <algorithm>
#include <cstdio>

// Opaque to users of the library: the fake keeps everything in fake().
struct kfast_options {};
struct kfast_producer {};

namespace kfast::ctl {
namespace {

std::optional<std::string> bytes_or_null(const void* bytes, std::size_t size) {
  if (bytes == nullptr) {
    return std::nullopt;
  }
  return std::string(static_cast<const char*>(bytes), size);
}

kfast_report_t report_for(const std::string& value, std::int64_t position) {
  FakeLibrary& library = fake();
  if (const auto failed = library.fails.find(value); failed != library.fails.end()) {
    return {position, -1, 0, -1, KFAST_FAILED, failed->second};
  }
  if (const auto unknown = library.unknowns.find(value); unknown != library.unknowns.end()) {
    return {position, -1, 0, 2, KFAST_UNKNOWN, unknown->second};
  }
  return {position, position / 64, 0, 2, KFAST_DELIVERED, 0};
}

}  // namespace

FakeLibrary& fake() {
  static FakeLibrary library;
  return library;
}

}  // namespace kfast::ctl

using kfast::ctl::fake;

extern "C" {

const char* kfast_strerror(int) {
  return "an error";
}
const char* kfast_kafka_error(int error) {
  return error == 3 ? "UNKNOWN_TOPIC_OR_PART" : error == -192 ? "_MSG_TIMED_OUT" : "OTHER";
}
int kfast_report_text(kfast_producer_t*, const kfast_report_t* report, char* text,
                      std::size_t text_size) {
  std::snprintf(text, text_size, "%s", kfast_kafka_error(report->error));
  return 0;
}
const char* kfast_version(void) {
  return "0.0.0";
}

kfast_options_t* kfast_options_new(void) {
  return new kfast_options;
}
void kfast_options_free(kfast_options_t* options) {
  delete options;
}
int kfast_options_set(kfast_options_t*, const char* name, const char* value, char* errstr,
                      std::size_t errstr_size) {
  if (std::string(name) == "no.such.option") {
    std::snprintf(errstr, errstr_size, "no option has the name %s", name);
    return KFAST_ERR_UNKNOWN_OPTION;
  }
  fake().options[name] = value;
  return 0;
}

int kfast_producer_open(const kfast_options_t*, kfast_producer_t** producer, char* errstr,
                        std::size_t errstr_size) {
  if (fake().open_code != 0) {
    std::snprintf(errstr, errstr_size, "%s", fake().error_text.c_str());
    return fake().open_code;
  }
  *producer = new kfast_producer;
  return 0;
}
void kfast_producer_close(kfast_producer_t* producer) {
  delete producer;
}
int32_t kfast_topic(kfast_producer_t*, const char* name) {
  fake().topic = name;
  return 0;
}

int64_t kfast_send_record(kfast_producer_t*, int32_t, int32_t partition, int64_t, const void* key,
                          std::size_t key_size, const void* value, std::size_t value_size,
                          const kfast_header_t* headers, std::size_t header_count, int timeout_ms) {
  auto& library = fake();
  const auto content = kfast::ctl::bytes_or_null(value, value_size);
  if (const auto refused = library.refuses.find(content.value_or(""));
      refused != library.refuses.end()) {
    return refused->second;
  }
  if (library.unread >= library.ring_records) {
    return timeout_ms == 0 ? KFAST_ERR_QUEUE_FULL : KFAST_ERR_TIMED_OUT;
  }
  kfast::ctl::SentRecord record{kfast::ctl::bytes_or_null(key, key_size), content, partition, {}};
  std::for_each(headers, headers + header_count, [&](const kfast_header_t& header) {
    record.headers.emplace_back(std::string(header.name, header.name_size),
                                kfast::ctl::bytes_or_null(header.value, header.value_size));
  });
  const auto position = static_cast<int64_t>(library.sent.size()) * 64;
  library.sent.push_back(std::move(record));
  ++library.unread;
  if (library.reports_come) {
    // Out of order, as Kafka's partitions answer.
    library.reports.push_front(kfast::ctl::report_for(content.value_or(""), position));
  }
  return position;
}

int kfast_reports(kfast_producer_t*, kfast_report_t* reports, std::size_t max) {
  auto& library = fake();
  std::size_t count = 0;
  for (; count < max && !library.reports.empty(); ++count) {
    reports[count] = library.reports.front();
    library.reports.pop_front();
    --library.unread;
  }
  return static_cast<int>(count);
}
int kfast_flush(kfast_producer_t*, int) {
  return fake().flush_code != 0 ? fake().flush_code : fake().unread == 0 ? 0 : KFAST_ERR_TIMED_OUT;
}
int kfast_fd(const kfast_producer_t*) {
  return -1;
}
const char* kfast_last_error(const kfast_producer_t*) {
  return fake().error_text.c_str();
}

}  // extern "C"
