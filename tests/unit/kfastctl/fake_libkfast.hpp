// A libkfast whose answers a test decides.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kfast/kfast.h"

namespace kfast::ctl {

struct SentRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::int32_t partition = 0;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
};

/// What the fake does and saw; one producer at a time.
struct FakeLibrary {
  int open_code = 0;
  std::string error_text;
  std::size_t ring_records =
      1000;  ///< records without a report that was read; beyond it the ring is full
  std::map<std::string, int> fails;  ///< by value: the Kafka error of its report
  std::map<std::string, int> unknowns;
  std::map<std::string, int> refuses;  ///< by value: what kfast_send_record answers
  bool reports_come = true;

  std::map<std::string, std::string> options;
  std::string topic;
  std::vector<SentRecord> sent;
  std::deque<kfast_report_t> reports;
  std::size_t unread = 0;
  int flush_code = 0;
};

FakeLibrary& fake();

}  // namespace kfast::ctl
