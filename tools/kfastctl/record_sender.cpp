#include "kfastctl/record_sender.hpp"

#include <algorithm>
#include <cstdio>

#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {
namespace {

// Waits are cut into slices, so that reports are read and progress is seen between them.
constexpr int kSliceMs = 200;
// Nobody needs a thousand lines that say the same; the summary has the count.
constexpr std::uint64_t kRefusalsShown = 10;

struct OptionsFree {
  void operator()(kfast_options_t* options) const noexcept { kfast_options_free(options); }
};
using Options = std::unique_ptr<kfast_options_t, OptionsFree>;

std::string set_option(kfast_options_t* options, const std::string& name,
                       const std::string& value) {
  char why[512] = "";
  return kfast_options_set(options, name.c_str(), value.c_str(), why, sizeof why) == 0 ? "" : why;
}

/// The end of a wait without progress, in boot time; negative seconds: never. Says so once when a
/// wait gets long.
class Patience {
 public:
  explicit Patience(double seconds) : seconds_(seconds) { renew(); }
  void renew() noexcept { start_ms_ = boottime_ms(); }
  /// `what` is waited for, and `why` is what libkfast says about it.
  [[nodiscard]] bool is_over(const char* what, const char* why) noexcept {
    const auto waited_ms = static_cast<double>(boottime_ms() - start_ms_);
    if (!noticed_ && waited_ms >= kNoticeAfterMs) {
      noticed_ = true;
      std::fprintf(stderr, "kfastctl: waiting for %s: %s\n", what, why);
    }
    return seconds_ >= 0 && waited_ms >= seconds_ * 1000;
  }

 private:
  static constexpr double kNoticeAfterMs = 5000;
  const double seconds_;
  std::uint64_t start_ms_ = 0;
  bool noticed_ = false;
};

/// A pointer that is not null, for a value that may be empty but is not null.
const char* not_null(std::string_view text) {
  return text.data() != nullptr ? text.data() : "";
}

std::string number_or_unknown(std::int64_t number) {
  return number >= 0 ? std::to_string(number) : "?";
}

}  // namespace

std::string RecordSender::open(const std::string& socket_dir) {
  for (const std::string& header : options_.headers) {
    const auto parsed = parse_header(header);
    if (!parsed) {
      return "-H needs name=value or name, not \"" + header + "\"";
    }
    header_texts_.push_back(*parsed);
  }
  for (const HeaderText& header : header_texts_) {
    headers_.push_back({header.name.data(), header.name.size(),
                        header.value ? not_null(*header.value) : nullptr,
                        header.value ? header.value->size() : 0});
  }
  const Options settings(kfast_options_new());
  if (!settings) {
    return kfast_strerror(KFAST_ERR_NO_MEMORY);
  }
  std::string wrong = set_option(settings.get(), "program", "kfastctl produce");
  if (wrong.empty()) {
    wrong = set_option(settings.get(), "socket.dir", socket_dir);
  }
  if (wrong.empty() && !options_.profile.empty()) {
    wrong = set_option(settings.get(), "profile", options_.profile);
  }
  for (const std::string& property : options_.properties) {
    const std::size_t equals = property.find('=');
    if (wrong.empty() && equals == std::string::npos) {
      wrong = "-X needs option=value, not \"" + property + "\"";
    }
    if (wrong.empty()) {
      wrong = set_option(settings.get(), property.substr(0, equals), property.substr(equals + 1));
    }
  }
  // Without a report for every record nothing could be counted.
  if (wrong.empty()) {
    wrong = set_option(settings.get(), "reports", "all");
  }
  if (!wrong.empty()) {
    return wrong;
  }
  kfast_producer_t* producer = nullptr;
  char why[1024] = "";
  if (kfast_producer_open(settings.get(), &producer, why, sizeof why) != 0) {
    return why;
  }
  producer_.reset(producer);
  topic_ = kfast_topic(producer, options_.topic.c_str());
  if (topic_ < 0) {
    return kfast_last_error(producer);
  }
  return {};
}

std::int64_t RecordSender::try_send(const KeyAndValue& record, int timeout_ms) {
  std::optional<std::string_view> key = record.key;
  if (!key && options_.key) {
    key = *options_.key;
  }
  const bool null_key = !key || (options_.empty_is_null && key->empty());
  const bool null_value = options_.empty_is_null && record.value.empty();
  return kfast_send_record(producer_.get(), topic_, options_.partition, KFAST_NOW,
                           null_key ? nullptr : not_null(*key), null_key ? 0 : key->size(),
                           null_value ? nullptr : not_null(record.value), record.value.size(),
                           headers_.data(), headers_.size(), timeout_ms);
}

bool RecordSender::send(const KeyAndValue& record) {
  ++counts_.records;
  std::int64_t position = try_send(record, 0);
  Patience patience(options_.timeout_seconds);
  while (position == KFAST_ERR_QUEUE_FULL || position == KFAST_ERR_TIMED_OUT) {
    // Reports that are not read use up the report ring, and then nothing is accepted.
    if (read_reports() > 0) {
      patience.renew();
    } else if (patience.is_over("room in the ring", kfast_last_error(producer_.get()))) {
      --counts_.records;
      std::fprintf(stderr, "kfastctl: no room in the ring for record %llu: %s\n",
                   static_cast<unsigned long long>(counts_.records) + 1,
                   kfast_last_error(producer_.get()));
      return false;
    }
    position = try_send(record, kSliceMs);
  }
  if (position >= 0) {
    record_of_.emplace(position, counts_.records);
    return true;
  }
  --counts_.records;
  refuse(kfast_last_error(producer_.get()));
  return position == KFAST_ERR_TOO_LARGE || position == KFAST_ERR_INVALID;
}

void RecordSender::refuse(const std::string& why) {
  ++counts_.records;
  if (++counts_.refused <= kRefusalsShown) {
    std::fprintf(stderr, "kfastctl: record %llu was not accepted: %s\n",
                 static_cast<unsigned long long>(counts_.records), why.c_str());
  }
}

std::size_t RecordSender::read_reports() {
  kfast_report_t reports[256];
  std::size_t total = 0;
  int got = 0;
  while ((got = kfast_reports(producer_.get(), reports, std::size(reports))) > 0) {
    std::for_each(reports, reports + got, [this](const auto& report) { book(report); });
    total += static_cast<std::size_t>(got);
  }
  if (options_.reports && total > 0) {
    std::fflush(stdout);
  }
  return total;
}

void RecordSender::book(const kfast_report_t& report) {
  const auto found = record_of_.find(report.position);
  if (found == record_of_.end()) {
    std::fprintf(stderr, "kfastctl: a report for position %lld, which was not sent\n",
                 static_cast<long long>(report.position));
    return;
  }
  const std::uint64_t record = found->second;
  record_of_.erase(found);
  const char* topic = options_.topic.c_str();
  if (report.outcome == KFAST_DELIVERED) {
    ++counts_.delivered;
    if (options_.reports) {
      std::printf("delivered %s [%s] @ %s\n", topic, number_or_unknown(report.partition).c_str(),
                  number_or_unknown(report.offset).c_str());
    }
    return;
  }
  const bool is_unknown = report.outcome == KFAST_UNKNOWN;
  ++(is_unknown ? counts_.unknown : counts_.failed);
  const std::string word = is_unknown ? "unknown" : "failed";
  char name[512] = "";
  static_cast<void>(kfast_report_text(producer_.get(), &report, name, sizeof name));
  Failures& failures = failures_[word + ": " + name];
  if (failures.count++ == 0) {
    failures.first_record = record;
  }
  if (options_.reports) {
    std::printf("%s %s: %s: record %llu %s\n", word.c_str(), topic, name,
                static_cast<unsigned long long>(record),
                is_unknown ? "may be in Kafka" : "is not in Kafka");
  }
}

void RecordSender::finish() {
  Patience patience(options_.timeout_seconds);
  while (true) {
    if (read_reports() > 0) {
      patience.renew();
    }
    if (counts_.pending() == 0) {
      return;
    }
    if (patience.is_over("delivery reports", kfast_last_error(producer_.get()))) {
      std::fprintf(stderr, "kfastctl: waited %g s for a report: %s\n", options_.timeout_seconds,
                   kfast_last_error(producer_.get()));
      return;
    }
    const int code = kfast_flush(producer_.get(), kSliceMs);
    if (code != 0 && code != KFAST_ERR_TIMED_OUT) {
      const std::string why = kfast_last_error(producer_.get());
      read_reports();
      std::fprintf(stderr, "kfastctl: %s\n", why.c_str());
      return;
    }
  }
}

std::string RecordSender::summary() const {
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  std::string text = number(counts_.records) + " records: " + number(counts_.delivered) +
                     " delivered, " + number(counts_.failed) + " failed, " +
                     number(counts_.unknown) + " unknown";
  if (counts_.refused > 0) {
    text += ", " + number(counts_.refused) + " not accepted";
  }
  if (counts_.pending() > 0) {
    text += ", " + number(counts_.pending()) + " without a report yet (kfastd still delivers them)";
  }
  text += '\n';
  for (const auto& [error, failures] : failures_) {
    text += "  " + number(failures.count) + " " + error + " (the first is record " +
            number(failures.first_record) + ")\n";
  }
  return text;
}

}  // namespace kfast::ctl
