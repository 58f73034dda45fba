// What the codes of the public interface mean, and Kafka's own names.
#include <cstddef>
#include <cstdint>

#include "kfast/kfast.h"

namespace {

struct KafkaError {
  std::int32_t code;
  const char* name;
};

constexpr KafkaError kKafkaErrors[] = {
#define KFAST_KAFKA_ERROR(code, name) {code, name},
#include "kafka_errors.def"
#undef KFAST_KAFKA_ERROR
};
constexpr std::size_t kKafkaErrorCount = sizeof kKafkaErrors / sizeof kKafkaErrors[0];

constexpr bool ascends() {
  for (std::size_t i = 1; i < kKafkaErrorCount; ++i) {
    if (kKafkaErrors[i - 1].code >= kKafkaErrors[i].code) {
      return false;
    }
  }
  return true;
}
static_assert(ascends(), "kfast_kafka_error searches by halves");

}  // namespace

extern "C" {

const char* kfast_strerror(int code) {
  switch (code) {
    case KFAST_OK:
      return "success";
    case KFAST_ERR_INVALID:
      return "an argument is wrong; kfast_last_error says which";
    case KFAST_ERR_QUEUE_FULL:
      return "the ring, or this topic's share of it, is full: the record was not accepted; send it "
             "again later";
    case KFAST_ERR_TOO_LARGE:
      return "the record can never fit: raise ring.bytes or the profile's message.max.bytes";
    case KFAST_ERR_TIMED_OUT:
      return "the time given has passed; records that were accepted stay in the ring";
    case KFAST_ERR_FORKED:
      return "this handle belongs to the parent process: open a producer in the child";
    case KFAST_ERR_NO_DAEMON:
      return "kfastd does not answer: start it, or set KFAST_SOCKET_DIR to where its sockets are";
    case KFAST_ERR_PERMISSION:
      return "not permitted: check the socket's mode and the [[allow]] rules in kfastd.toml";
    case KFAST_ERR_UNKNOWN_PROFILE:
      return "kfastd.toml has no profile of this name";
    case KFAST_ERR_UNKNOWN_OPTION:
      return "no option has this name; kfast.h lists them";
    case KFAST_ERR_TOPIC_NAME:
      return "not a legal topic name: 1 to 249 characters of [a-zA-Z0-9._-], and neither \".\" nor "
             "\"..\"";
    case KFAST_ERR_TOPIC_NOT_ALLOWED:
      return "no [[allow]] rule of kfastd.toml lets this user produce to the topic";
    case KFAST_ERR_TOO_MANY_TOPICS:
      return "too many topics: raise the option topics, or the user's limit in kfastd.toml";
    case KFAST_ERR_TOO_MANY_HEADERS:
      return "too many headers: at most 1024, each name at most 32767 bytes";
    case KFAST_ERR_LIMIT:
      return "a limit of kfastd.toml or of the system is reached";
    case KFAST_ERR_VERSION:
      return "this libkfast and kfastd have no protocol version in common: install matching "
             "versions";
    case KFAST_ERR_PROTOCOL:
      return "what answered on the socket is not kfastd, or it ended the session";
    case KFAST_ERR_NO_MEMORY:
      return "this process has no memory or no file descriptor left: see ulimit -n and the memory "
             "limits";
    case KFAST_ERR_CLOSED:
      return "kfastd ended this channel for good: kfast_last_error says why; open a new producer";
    default:
      return "not an error code of kfast";
  }
}

const char* kfast_kafka_error(int error) {
  std::size_t first = 0;
  std::size_t last = kKafkaErrorCount;
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    if (kKafkaErrors[middle].code < error) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  if (first < kKafkaErrorCount && kKafkaErrors[first].code == error) {
    return kKafkaErrors[first].name;
  }
  return "UNNAMED_ERROR";
}

const char* kfast_version(void) {
  return KFAST_VERSION;
}

}  // extern "C"
