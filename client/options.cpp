#include "options.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kfast/kfast.h"

namespace kfast::client {
namespace {

constexpr const char* kNames[] = {"profile",      "socket.dir", "ring.bytes",
                                  "report.bytes", "topics",     "reports",
                                  "thread.safe",  "program",    "connect.timeout.ms"};

constexpr std::size_t kLongestCompared = 32;

/// How many letters must change to make one of the other (Levenshtein); long names are cut.
std::size_t edit_distance(const char* a, const char* b) noexcept {
  const std::size_t a_size = ::strnlen(a, kLongestCompared);
  const std::size_t b_size = ::strnlen(b, kLongestCompared);
  std::size_t row[kLongestCompared + 1];
  for (std::size_t j = 0; j <= b_size; ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a_size; ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b_size; ++j) {
      const std::size_t above = row[j];
      std::size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
      best = above + 1 < best ? above + 1 : best;
      best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
      row[j] = best;
      diagonal = above;
    }
  }
  return row[b_size];
}

const char* nearest(const char* name) noexcept {
  const char* best = kNames[0];
  std::size_t least = ~std::size_t{0};
  for (const char* known : kNames) {
    // A name that was cut short, or said too much, is nearer than its letters say.
    const bool part = name[0] != '\0' &&
                      (std::strstr(known, name) != nullptr || std::strstr(name, known) != nullptr);
    const std::size_t distance = part ? 1 : edit_distance(name, known);
    if (distance < least) {
      least = distance;
      best = known;
    }
  }
  return best;
}

/// A decimal number, with k, m or g behind it when `suffix` allows. False: not one, or beyond 2^62.
bool parse_number(const char* text, bool suffix, std::uint64_t& out) noexcept {
  constexpr std::uint64_t kTop = 1ULL << 62;
  std::uint64_t number = 0;
  const char* at = text;
  for (; *at >= '0' && *at <= '9'; ++at) {
    number = number * 10 + static_cast<std::uint64_t>(*at - '0');
    if (number > kTop) {
      return false;
    }
  }
  if (at == text) {
    return false;
  }
  if (suffix && *at != '\0') {
    unsigned shift = 0;
    switch (*at) {
      case 'k':
      case 'K':
        shift = 10;
        break;
      case 'm':
      case 'M':
        shift = 20;
        break;
      case 'g':
      case 'G':
        shift = 30;
        break;
      default:
        return false;
    }
    ++at;
    if (number > kTop >> shift) {
      return false;
    }
    number <<= shift;
  }
  out = number;
  return *at == '\0';
}

int set_text(char* field, std::size_t room, const char* name, const char* value,
             ErrorText& why) noexcept {
  const std::size_t size = std::strlen(value);
  if (size == 0 || size >= room) {
    why.format("%s: \"%.100s\" has %zu characters; it may have 1 to %zu", name, value, size,
               room - 1);
    return KFAST_ERR_INVALID;
  }
  std::memcpy(field, value, size + 1);
  return KFAST_OK;
}

int set_ring(std::uint64_t& field, const char* name, const char* value, ErrorText& why) noexcept {
  std::uint64_t bytes = 0;
  if (!parse_number(value, true, bytes) || !ipc::is_power_of_two(bytes) ||
      bytes < ipc::kMinRingBytes || bytes > ipc::kMaxRingBytes) {
    why.format("%s: \"%.100s\" is not a power of two from 4k to 1g, such as 4m", name, value);
    return KFAST_ERR_INVALID;
  }
  field = bytes;
  return KFAST_OK;
}

int set_count(std::uint64_t& field, std::uint64_t least, std::uint64_t most, const char* name,
              const char* value, ErrorText& why) noexcept {
  std::uint64_t number = 0;
  if (!parse_number(value, false, number) || number < least || number > most) {
    why.format("%s: \"%.100s\" is not a number from %llu to %llu", name, value,
               static_cast<unsigned long long>(least), static_cast<unsigned long long>(most));
    return KFAST_ERR_INVALID;
  }
  field = number;
  return KFAST_OK;
}

}  // namespace

int Options::set(const char* name, const char* value, ErrorText& why) noexcept {
  if (name == nullptr || value == nullptr) {
    why.set("the name and the value of an option may not be NULL");
    return KFAST_ERR_INVALID;
  }
  if (std::strcmp(name, "profile") == 0) {
    return set_text(profile_, sizeof profile_, name, value, why);
  }
  if (std::strcmp(name, "socket.dir") == 0) {
    return set_text(socket_dir_, sizeof socket_dir_, name, value, why);
  }
  if (std::strcmp(name, "program") == 0) {
    return set_text(program_, sizeof program_, name, value, why);
  }
  if (std::strcmp(name, "ring.bytes") == 0) {
    return set_ring(ring_bytes_, name, value, why);
  }
  if (std::strcmp(name, "report.bytes") == 0) {
    return set_ring(report_bytes_, name, value, why);
  }
  if (std::strcmp(name, "topics") == 0) {
    std::uint64_t topics = topics_;
    const int code = set_count(topics, 1, ipc::kMaxTopicCapacity, name, value, why);
    topics_ = static_cast<std::uint32_t>(topics);
    return code;
  }
  if (std::strcmp(name, "connect.timeout.ms") == 0) {
    auto timeout = static_cast<std::uint64_t>(connect_timeout_ms_);
    const int code = set_count(timeout, 1, 3'600'000, name, value, why);
    connect_timeout_ms_ = static_cast<std::int64_t>(timeout);
    return code;
  }
  if (std::strcmp(name, "reports") == 0) {
    if (std::strcmp(value, "all") == 0) {
      reports_ = ipc::ReportsMode::all;
    } else if (std::strcmp(value, "errors") == 0) {
      reports_ = ipc::ReportsMode::errors;
    } else if (std::strcmp(value, "none") == 0) {
      reports_ = ipc::ReportsMode::none;
    } else {
      why.format("reports: \"%.100s\" is not one of all, errors, none", value);
      return KFAST_ERR_INVALID;
    }
    return KFAST_OK;
  }
  if (std::strcmp(name, "thread.safe") == 0) {
    const bool safe = std::strcmp(value, "true") == 0;
    if (!safe && std::strcmp(value, "false") != 0) {
      why.format("thread.safe: \"%.100s\" is not one of false, true", value);
      return KFAST_ERR_INVALID;
    }
    thread_safe_ = safe;
    return KFAST_OK;
  }
  why.format("no option is called \"%.100s\"; the nearest is \"%s\"", name, nearest(name));
  return KFAST_ERR_UNKNOWN_OPTION;
}

int Options::resolve(ErrorText& why) noexcept {
  if (socket_dir_[0] == '\0') {
    // In a set-uid program the environment belongs to somebody else, who must not choose where
    // records go.
    const char* from_environment = ::secure_getenv(ipc::kSocketDirVariable);
    const bool given = from_environment != nullptr && from_environment[0] != '\0';
    const int code = set_text(socket_dir_, sizeof socket_dir_, ipc::kSocketDirVariable,
                              given ? from_environment : ipc::kDefaultSocketDir, why);
    if (code != KFAST_OK) {
      return code;
    }
  }
  if (program_[0] == '\0') {
    ipc::put_text(program_, ::program_invocation_short_name);
  }
  return KFAST_OK;
}

std::uint64_t Options::report_bytes() const noexcept {
  if (report_bytes_ != 0) {
    return report_bytes_;
  }
  const std::uint64_t quarter = ring_bytes_ / 4;
  return quarter < ipc::kMinRingBytes ? ipc::kMinRingBytes : quarter;
}

}  // namespace kfast::client
