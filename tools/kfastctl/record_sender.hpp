// One producer of libkfast that waits for room, reads its reports and keeps the books.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kfast/kfast.h"
#include "kfastctl/options.hpp"
#include "kfastctl/record_input.hpp"

namespace kfast::ctl {

struct ProduceCounts {
  std::uint64_t records = 0;  ///< read from the input
  std::uint64_t refused = 0;  ///< never accepted by libkfast
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;
  std::uint64_t unknown = 0;

  [[nodiscard]] std::uint64_t pending() const noexcept {
    return records - refused - delivered - failed - unknown;
  }
  [[nodiscard]] bool all_delivered() const noexcept { return delivered == records; }
};

/// Sends records one after the other. One thread.
class RecordSender {
 public:
  explicit RecordSender(const ProduceOptions& options) : options_(options) {}

  /// Opens the producer; a sentence on failure, empty on success. `options` as given must have
  /// legal headers.
  std::string open(const std::string& socket_dir);

  /// Sends one record of the input; false when nothing more can be sent (the reason is on stderr).
  /// A record that is refused is counted and named on stderr, and the next one may be sent.
  bool send(const KeyAndValue& record);
  /// Counts and names a record of the input that is too long to be read.
  void refuse(const std::string& why);

  /// Reads all reports that are there; returns how many.
  std::size_t read_reports();
  /// Waits until every record has its outcome, as long as outcomes keep coming within the timeout.
  void finish();

  /// Readable when there are reports.
  [[nodiscard]] int fd() const noexcept { return kfast_fd(producer_.get()); }
  [[nodiscard]] const ProduceCounts& counts() const noexcept { return counts_; }
  /// "3 records: 1 delivered, 2 failed, 0 unknown", and a line for each kind of error.
  [[nodiscard]] std::string summary() const;

 private:
  struct Close {
    void operator()(kfast_producer_t* producer) const noexcept { kfast_producer_close(producer); }
  };
  struct Failures {
    std::uint64_t count = 0;
    std::uint64_t first_record = 0;
  };

  std::int64_t try_send(const KeyAndValue& record, int timeout_ms);
  void book(const kfast_report_t& report);

  const ProduceOptions& options_;
  std::vector<HeaderText> header_texts_;
  std::vector<kfast_header_t> headers_;
  std::unique_ptr<kfast_producer_t, Close> producer_;
  std::int32_t topic_ = -1;
  ProduceCounts counts_;
  std::unordered_map<std::int64_t, std::uint64_t>
      record_of_;  // by position, while there is no report
  std::map<std::string, Failures> failures_;
};

}  // namespace kfast::ctl
