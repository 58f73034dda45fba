// The C interface: argument checks that need no producer, and who owns what.
#include <algorithm>
#include <climits>
#include <cstdlib>
#include <new>
#include <type_traits>

#include "error_text.hpp"
#include "kfast/kfast.h"
#include "options.hpp"
#include "producer.hpp"

struct kfast_options : kfast::client::Options {};
struct kfast_producer : kfast::client::Producer {};

namespace {

/// malloc and a constructor: the library needs libc only.
template <class T>
T* make() noexcept {
  void* memory = std::malloc(sizeof(T));
  return memory == nullptr ? nullptr : new (memory) T;
}

template <class T>
void destroy(T* object) noexcept {
  if (object != nullptr) {
    object->~T();
    std::free(object);
  }
}

/// Makes a call on a producer, one at a time where several threads use it. In a forked child there
/// is no such producer: the lock stays untouched, and the call itself refuses. `failed(answer)`:
/// whether kfast_last_error has something to say about the answer.
template <class Call, class Failed>
auto in_turn(kfast_producer_t* producer, Call call, Failed failed) noexcept {
  if (!producer->is_shared()) {
    return call();
  }
  const int begun = producer->begin_turn();
  const auto answer = call();
  producer->end_turn(begun, failed(answer));
  return answer;
}

template <class Call>
auto in_turn(kfast_producer_t* producer, Call call) noexcept {
  return in_turn(producer, call, [](auto answer) noexcept {
    if constexpr (std::is_signed_v<decltype(answer)>) {
      return answer < 0;
    } else {
      return false;
    }
  });
}

/// kfast_send on a producer that is not plain.
[[gnu::cold, gnu::noinline]] int64_t send_in_turn(kfast_producer_t* producer, int32_t topic,
                                                  const void* key, size_t key_size,
                                                  const void* value, size_t value_size) noexcept {
  return in_turn(producer, [&]() noexcept -> int64_t {
    return producer->is_usable() ? producer->send(topic, key, key_size, value, value_size)
                                 : producer->unusable();
  });
}

/// Makes a producer by `how`, which opens it or begins to.
int make_producer(const kfast_options_t* options, kfast_producer_t** producer, char* errstr,
                  size_t errstr_size,
                  int (kfast::client::Producer::*how)(
                      const kfast::client::Options&, kfast::client::ErrorText&) noexcept) noexcept {
  kfast::client::ErrorText why;
  if (producer == nullptr) {
    why.set("producer may not be NULL");
    why.copy_to(errstr, errstr_size);
    return KFAST_ERR_INVALID;
  }
  *producer = nullptr;
  auto* made = make<kfast_producer>();
  if (made == nullptr) {
    why.set("no memory for a producer");
    why.copy_to(errstr, errstr_size);
    return KFAST_ERR_NO_MEMORY;
  }
  const kfast::client::Options defaults;
  const int code = (made->*how)(options == nullptr ? defaults : *options, why);
  if (code != KFAST_OK) {
    why.copy_to(errstr, errstr_size);
    destroy(made);
    return code;
  }
  *producer = made;
  return KFAST_OK;
}

}  // namespace

extern "C" {

kfast_options_t* kfast_options_new(void) {
  return make<kfast_options>();
}

void kfast_options_free(kfast_options_t* options) {
  destroy(options);
}

int kfast_options_set(kfast_options_t* options, const char* name, const char* value, char* errstr,
                      size_t errstr_size) {
  kfast::client::ErrorText why;
  int code = KFAST_ERR_INVALID;
  if (options == nullptr) {
    why.set("options may not be NULL");
  } else {
    code = options->set(name, value, why);
  }
  if (code != KFAST_OK) {
    why.copy_to(errstr, errstr_size);
  }
  return code;
}

int kfast_producer_open(const kfast_options_t* options, kfast_producer_t** producer, char* errstr,
                        size_t errstr_size) {
  return make_producer(options, producer, errstr, errstr_size, &kfast_producer::open);
}

int kfast_producer_begin(const kfast_options_t* options, kfast_producer_t** producer, char* errstr,
                         size_t errstr_size) {
  return make_producer(options, producer, errstr, errstr_size, &kfast_producer::begin);
}

int kfast_producer_ready(kfast_producer_t* producer, int timeout_ms) {
  return producer->ready(timeout_ms);
}

void kfast_producer_close(kfast_producer_t* producer) {
  destroy(producer);
}

int32_t kfast_topic(kfast_producer_t* producer, const char* name) {
  return in_turn(producer, [&]() noexcept { return producer->topic(name); });
}

const char* kfast_topic_name(const kfast_producer_t* producer, int32_t topic) {
  // The lock is no part of what a const producer promises.
  auto* locked = const_cast<kfast_producer_t*>(producer);
  return in_turn(locked, [&]() noexcept { return producer->topic_name(topic); });
}

int64_t kfast_send(kfast_producer_t* producer, int32_t topic, const void* key, size_t key_size,
                   const void* value, size_t value_size) {
  // One load and one branch, for forked children and for threads: a producer of one thread pays
  // nothing for thread.safe.
  if (!producer->is_plain()) [[unlikely]] {
    return send_in_turn(producer, topic, key, key_size, value, value_size);
  }
  return producer->send(topic, key, key_size, value, value_size);
}

int64_t kfast_send_record(kfast_producer_t* producer, int32_t topic, int32_t partition,
                          int64_t timestamp_ms, const void* key, size_t key_size, const void* value,
                          size_t value_size, const kfast_header_t* headers, size_t header_count,
                          int timeout_ms) {
  kfast::client::Record record{.topic = topic,
                               .key = key,
                               .key_size = key_size,
                               .value = value,
                               .value_size = value_size,
                               .headers_size = 0,
                               .headers = headers,
                               .header_count = header_count,
                               .partition = partition,
                               .timestamp_ms = timestamp_ms};
  return in_turn(producer, [&]() noexcept { return producer->send_record(record, timeout_ms); });
}

int64_t kfast_send_one(kfast_producer_t* producer, const kfast_record_t* record, int timeout_ms) {
  return in_turn(producer, [&]() noexcept { return producer->send_one(record, timeout_ms); });
}

int kfast_send_wait(kfast_producer_t* producer, const kfast_record_t* record, int timeout_ms,
                    kfast_report_t* report) {
  return in_turn(producer,
                 [&]() noexcept { return producer->send_wait(record, timeout_ms, report); });
}

int kfast_wait(kfast_producer_t* producer, int64_t position, int timeout_ms,
               kfast_report_t* report) {
  return in_turn(producer,
                 [&]() noexcept { return producer->wait_report(position, timeout_ms, report); });
}

int kfast_send_batch(kfast_producer_t* producer, kfast_record_t* records, size_t count,
                     int timeout_ms) {
  // Records were refused also where some were accepted.
  return in_turn(
      producer, [&]() noexcept { return producer->send_batch(records, count, timeout_ms); },
      [&](int accepted) noexcept {
        return accepted < 0 || static_cast<size_t>(accepted) < std::min<size_t>(count, INT_MAX);
      });
}

int kfast_reserve(kfast_producer_t* producer, const kfast_record_t* record, void** value) {
  return in_turn(producer, [&]() noexcept { return producer->reserve(record, value); });
}

int64_t kfast_commit(kfast_producer_t* producer, size_t value_size) {
  return in_turn(producer, [&]() noexcept { return producer->commit(value_size); });
}

int kfast_cancel(kfast_producer_t* producer) {
  return in_turn(producer, [&]() noexcept { return producer->cancel(); });
}

int kfast_reports(kfast_producer_t* producer, kfast_report_t* reports, size_t max) {
  return in_turn(producer, [&]() noexcept { return producer->reports(reports, nullptr, max); });
}

int kfast_reports_opaque(kfast_producer_t* producer, kfast_report_t* reports, void** opaques,
                         size_t max) {
  return in_turn(producer,
                 [&]() noexcept { return producer->reports_opaque(reports, opaques, max); });
}

int kfast_flush(kfast_producer_t* producer, int timeout_ms) {
  return in_turn(producer, [&]() noexcept { return producer->flush(timeout_ms); });
}

int kfast_purge(kfast_producer_t* producer) {
  return in_turn(producer, [&]() noexcept { return producer->purge(); });
}

int kfast_report_text(kfast_producer_t* producer, const kfast_report_t* report, char* text,
                      size_t text_size) {
  return in_turn(producer,
                 [&]() noexcept { return producer->report_text(report, text, text_size); });
}

int kfast_flush_to(kfast_producer_t* producer, int64_t position, int timeout_ms) {
  return in_turn(producer, [&]() noexcept { return producer->flush_to(position, timeout_ms); });
}

int kfast_bell(kfast_producer_t* producer, void* hello, char* path, size_t path_size) {
  return in_turn(producer, [&]() noexcept { return producer->bell(hello, path, path_size); });
}

uint64_t kfast_used_bytes(kfast_producer_t* producer) {
  return in_turn(producer, [&]() noexcept { return producer->used_bytes(); });
}

uint64_t kfast_ring_bytes(const kfast_producer_t* producer) {
  return producer->ring_bytes();
}

int kfast_fd(const kfast_producer_t* producer) {
  return producer->fd();
}

const char* kfast_last_error(const kfast_producer_t* producer) {
  return producer->last_error();
}

}  // extern "C"
