/**
 * @file
 * kfast: Kafka next to a worker, without Kafka inside it.
 *
 * A worker opens a producer, writes records into memory that it shares with kfastd, and goes on.
 * Nothing here starts a thread, opens a broker connection, installs a signal handler or writes to
 * stderr; kfast_send makes no allocation and, but for a wake-up of an idle daemon, no system call.
 *
 *     kfast_producer_t* producer;
 *     char why[256];
 *     if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0) {
 *       fprintf(stderr, "%s\n", why);
 *       return 1;
 *     }
 *     int32_t orders = kfast_topic(producer, "orders");
 *     if (kfast_send(producer, orders, "key", 3, "value", 5) < 0) {
 *       fprintf(stderr, "%s\n", kfast_last_error(producer));
 *     }
 *     kfast_flush(producer, 5000);
 *     kfast_producer_close(producer);
 *
 * Threads: a handle belongs to one thread at a time; a second thread opens its own, or the handle
 * is opened with thread.safe=true. After fork() the child's handles answer KFAST_ERR_FORKED and
 * only kfast_producer_close may be used on them; the parent's go on.
 *
 * Errors: functions that can fail return a negative code; kfast_strerror explains it, and
 * kfast_last_error says what was wrong this time.
 *
 * Arguments: `producer` is a handle from kfast_producer_open, `topic` a number from kfast_topic.
 * `key` and `value` are `key_size` and `value_size` bytes of anything. Text is a C string.
 *
 * Ownership: key, value, headers and names are read during the call only. The ABI only grows: no
 * function or struct here ever changes its meaning or size.
 */
#ifndef KFAST_KFAST_H
#define KFAST_KFAST_H

#include <stddef.h>
#include <stdint.h>

/** Before each function that libkfast exports. */
#if defined(__GNUC__)
#define KFAST_API __attribute__((visibility("default")))
#else
#define KFAST_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** This header's version; kfast_version() is the library's. */
#define KFAST_VERSION "0.1.0"

/** Error codes. Values never change. */
enum kfast_error {
  KFAST_OK = 0,
  KFAST_ERR_INVALID = -1,    /**< an argument is wrong: kfast_last_error says which */
  KFAST_ERR_QUEUE_FULL = -2, /**< the ring, or the topic's share of it, is full: not accepted */
  KFAST_ERR_TOO_LARGE = -3,  /**< can never fit: raise ring.bytes or message.max.bytes */
  KFAST_ERR_TIMED_OUT = -4,  /**< the time given has passed; records stay where they are */
  KFAST_ERR_FORKED = -5,     /**< the handle is the parent process's: open one in the child */
  KFAST_ERR_NO_DAEMON = -6,  /**< nobody answers on the socket */
  KFAST_ERR_PERMISSION = -7, /**< the socket is shut to this user, or no [[allow]] covers it */
  KFAST_ERR_UNKNOWN_PROFILE = -8,    /**< kfastd.toml has no such profile */
  KFAST_ERR_UNKNOWN_OPTION = -9,     /**< no option has this name */
  KFAST_ERR_TOPIC_NAME = -10,        /**< not 1 to 249 of [a-zA-Z0-9._-], or "." or ".." */
  KFAST_ERR_TOPIC_NOT_ALLOWED = -11, /**< no [[allow]] lets this user produce to the topic */
  KFAST_ERR_TOO_MANY_TOPICS = -12,   /**< the channel's table, or the user's limit, is full */
  KFAST_ERR_TOO_MANY_HEADERS = -13,  /**< more than 1024, or a name of more than 32767 bytes */
  KFAST_ERR_LIMIT = -14,             /**< a limit of kfastd.toml or of the system is reached */
  KFAST_ERR_VERSION = -15,           /**< libkfast and kfastd have no protocol version in common */
  KFAST_ERR_PROTOCOL = -16,          /**< what answered is not kfastd, or it ended the session */
  KFAST_ERR_NO_MEMORY = -17,         /**< no memory or descriptor left in this process */
  KFAST_ERR_CLOSED = -18             /**< kfastd ended the channel for good: see kfast_last_error */
};

/** A sentence for a `code`. Static storage; never NULL. Any thread. */
KFAST_API const char* kfast_strerror(int code);

/** Kafka's name of a report's `error`, such as "UNKNOWN_TOPIC_OR_PART". Static storage; never NULL.
 * Any thread. */
KFAST_API const char* kfast_kafka_error(int error);

/** The library's version, "major.minor.patch". Static storage. */
KFAST_API const char* kfast_version(void);

/* ---- options -------------------------------------------------------------------------------- */

/** A set of options. Not thread-safe. */
typedef struct kfast_options kfast_options_t;

/** New options, all at their defaults; NULL when out of memory. Free with kfast_options_free. */
KFAST_API kfast_options_t* kfast_options_new(void);

/** Frees `options`. NULL is allowed. Producers opened with them are not affected. */
KFAST_API void kfast_options_free(kfast_options_t* options);

/**
 * Sets the option `name` of `options` to `value`. Sizes take a suffix: k, m or g (powers of 1024).
 *
 *     profile             a profile of kfastd.toml ["default"]
 *     socket.dir          directory of kfastd's sockets [$KFAST_SOCKET_DIR, else "/run/kfast"]
 *     ring.bytes          the record ring, a power of two, 4k to 1g ["4m"]
 *     report.bytes        the report ring, a power of two, 4k to 1g [a quarter of ring.bytes]
 *     topics              how many topics the channel can name, 1 to 32768 ["1024"]
 *     reports             which reports to deliver: all, errors or none ["all"]
 *     thread.safe         whether several threads may use the handle at a time: true or false
 *                         ["false"]
 *     program             what the worker calls itself in kfastd's logs [the process's own name]
 *     connect.timeout.ms  how long kfast_producer_open waits for kfastd's answers ["5000"]
 *
 * With thread.safe=true each call but kfast_producer_close may be made by any thread at any time;
 * each takes a lock that is private to the process, and none holds it while it waits. Records of
 * one thread keep their order. A call that may wait for room waits, too, while unread reports keep
 * records out, because another thread may read them. A thread is cancelled (pthread_cancel) after
 * its call, not in it. The producer needs one descriptor more.
 *
 * Returns 0, KFAST_ERR_UNKNOWN_OPTION (the text names the nearest) or KFAST_ERR_INVALID. `errstr`
 * may be NULL; else it gets a sentence, cut to `errstr_size` bytes, NUL included.
 */
KFAST_API int kfast_options_set(kfast_options_t* options, const char* name, const char* value,
                                char* errstr, size_t errstr_size);

/* ---- producer ------------------------------------------------------------------------------- */

/** A producer: one channel to kfastd. One thread at a time, unless opened with thread.safe=true. */
typedef struct kfast_producer kfast_producer_t;

/**
 * Opens a producer. `options` may be NULL (defaults) and is not kept. Blocks for the handshake with
 * kfastd, at most connect.timeout.ms. On success stores the handle in `*producer` and returns 0;
 * else stores NULL, writes a sentence with cause and cure into `errstr` (may be NULL), cut to
 * `errstr_size` bytes, and returns KFAST_ERR_NO_DAEMON, _PERMISSION, _UNKNOWN_PROFILE, _LIMIT,
 * _VERSION, _PROTOCOL, _TIMED_OUT, _NO_MEMORY or, when KFAST_SOCKET_DIR is too long, _INVALID.
 */
KFAST_API int kfast_producer_open(const kfast_options_t* options, kfast_producer_t** producer,
                                  char* errstr, size_t errstr_size);

/**
 * kfast_producer_open that does not wait for kfastd, for event loops: does what needs no kfastd and
 * stores the handle in `*producer`, to be opened by kfast_producer_ready. `options`, `errstr` and
 * `errstr_size` as there; connect.timeout.ms is not used. Returns 0, KFAST_ERR_NO_MEMORY or
 * KFAST_ERR_INVALID; then `*producer` is NULL. Until kfast_producer_ready has answered 0, only that
 * function, kfast_fd, kfast_last_error and kfast_producer_close may be called: others answer
 * KFAST_ERR_INVALID.
 */
KFAST_API int kfast_producer_begin(const kfast_options_t* options, kfast_producer_t** producer,
                                   char* errstr, size_t errstr_size);

/**
 * Goes on with opening a producer of kfast_producer_begin, for at most `timeout_ms`: 0 never waits,
 * negative for ever. Returns 0 when it is open, now or before. Else kfast_last_error says why not
 * yet: KFAST_ERR_TIMED_OUT (it is under way) or another error of kfast_producer_open (this attempt
 * has failed, without waiting for `timeout_ms` to pass, and the next call makes a new one).
 * kfast_fd is readable when it is time to call: at the beginning, when kfastd has answered, and
 * 5 ms to 1 s after an attempt that failed. Also KFAST_ERR_FORKED. The call that opens the producer
 * maps its memory and touches it once, about a millisecond for 4 MiB. One thread, until it has
 * answered 0, also with thread.safe=true.
 */
KFAST_API int kfast_producer_ready(kfast_producer_t* producer, int timeout_ms);

/**
 * Closes a producer and frees it. Never blocks: what was sent and has no outcome yet is still
 * delivered by kfastd, but its report can no longer be read; kfast_flush first to know. NULL is
 * allowed. No other thread may be using the handle, also with thread.safe=true. In a forked child
 * it only frees the child's copies of memory and descriptors; leave alone there what another thread
 * of the parent may have been using at the fork.
 */
KFAST_API void kfast_producer_close(kfast_producer_t* producer);

/**
 * The number of a topic for kfast_send, 0 or more; asking again gives the same number. `name` is a
 * C string and is copied. No round trip: whether the topic is allowed and exists shows later, in
 * kfast_send's answer or in a report. Errors: KFAST_ERR_TOPIC_NAME, KFAST_ERR_TOO_MANY_TOPICS,
 * KFAST_ERR_FORKED.
 */
KFAST_API int32_t kfast_topic(kfast_producer_t* producer, const char* name);

/** The name of a topic number, or NULL. Valid until the producer is closed. */
KFAST_API const char* kfast_topic_name(const kfast_producer_t* producer, int32_t topic);

/**
 * Sends a record: copies it into the ring and returns its position, 0 or more, which identifies it
 * in its report. The record's timestamp is now. `key` NULL: null key; `value` NULL: null value (a
 * tombstone); an empty one has a non-NULL pointer and size 0. Never blocks. Errors:
 * KFAST_ERR_QUEUE_FULL (nothing was accepted: try later, or use kfast_send_record with a time-out),
 * _TOO_LARGE, _INVALID, _TOPIC_NOT_ALLOWED, _TOO_MANY_TOPICS, _FORKED, _CLOSED.
 * Once a position was returned, the record is delivered or reported, whoever is killed (see the
 * promises in the README).
 */
KFAST_API int64_t kfast_send(kfast_producer_t* producer, int32_t topic, const void* key,
                             size_t key_size, const void* value, size_t value_size);

/** One record header. Read during the call only. */
typedef struct kfast_header {
  const char* name;  /**< need not end in a NUL */
  size_t name_size;  /**< bytes, 0 to 32767 */
  const void* value; /**< NULL: a null value */
  size_t value_size; /**< bytes */
} kfast_header_t;

/** A record's partition: whichever the profile's partitioner chooses. */
#define KFAST_ANY_PARTITION (-1)
/** A record's timestamp: when it is sent. */
#define KFAST_NOW (-1)

/**
 * Sends a record with everything. `partition`: a number, or KFAST_ANY_PARTITION (by the profile's
 * partitioner). `timestamp_ms`: milliseconds since 1970, 1 or more (librdkafka cannot send 0) and
 * at most an hour ahead, or KFAST_NOW. `headers` may be NULL when `header_count` is 0.
 * `timeout_ms`: how long to wait for room when the ring is full: 0 never (KFAST_ERR_QUEUE_FULL),
 * negative for ever, else KFAST_ERR_TIMED_OUT after it. Errors as kfast_send, and
 * KFAST_ERR_TOO_MANY_HEADERS.
 */
KFAST_API int64_t kfast_send_record(kfast_producer_t* producer, int32_t topic, int32_t partition,
                                    int64_t timestamp_ms, const void* key, size_t key_size,
                                    const void* value, size_t value_size,
                                    const kfast_header_t* headers, size_t header_count,
                                    int timeout_ms);

/**
 * One record of a batch, or one to be made in place. Start from KFAST_RECORD_INIT. 80 bytes for
 * ever. What the fields mean, their ranges and errors are those of kfast_send_record.
 */
typedef struct kfast_record {
  const void* key;               /**< NULL: null key */
  size_t key_size;               /**< bytes */
  const void* value;             /**< NULL: null value (a tombstone) */
  size_t value_size;             /**< bytes */
  const kfast_header_t* headers; /**< may be NULL when header_count is 0 */
  size_t header_count;           /**< 0 to 1024 */
  int64_t timestamp_ms;          /**< or KFAST_NOW */
  void* opaque;                  /**< not NULL: comes back once, by kfast_reports_opaque */
  int64_t position;              /**< out: as kfast_send returns it, or the refused one's code */
  int32_t topic;                 /**< from kfast_topic */
  int32_t partition;             /**< or KFAST_ANY_PARTITION */
} kfast_record_t;

/** A record of nothing: null key and value, no headers, now, any partition; it wants a topic. */
#define KFAST_RECORD_INIT \
  { NULL, 0, NULL, 0, NULL, 0, KFAST_NOW, NULL, -1, -1, KFAST_ANY_PARTITION }

/**
 * kfast_send_record with its arguments in a struct, whose `position` is neither read nor written,
 * and with `record->opaque`: what is not NULL comes back once, by kfast_reports_opaque, with the
 * record's report. It is kept in this process and never followed. `timeout_ms`, answers and errors
 * as kfast_send_record; also KFAST_ERR_INVALID for an opaque where the option reports is not all,
 * and KFAST_ERR_NO_MEMORY when there is none to keep it (nothing was accepted).
 */
KFAST_API int64_t kfast_send_one(kfast_producer_t* producer, const kfast_record_t* record,
                                 int timeout_ms);

/**
 * Sends `records` in order, as sendmmsg does: returns how many were accepted, from the first on. As
 * many as fit without waiting become visible to kfastd together, by one store, one fence and one
 * wake-up at most, so a record costs less than by kfast_send. A worker that is killed before that
 * store has sent none of them; there is no other all or nothing.
 * Each accepted record gets its `position`. Where fewer than `count` are accepted, the next one's
 * `position` is the code of its refusal, kfast_last_error says why, and those behind it are as they
 * were; when it is the first, its code is also the answer. `count` 0: 0; more than INT_MAX: as
 * INT_MAX. `timeout_ms`: how long to wait for room, in all, as in kfast_send_record: 0 never,
 * negative for ever; what was written is published before it waits, so a batch may be larger than
 * the ring. Errors of a record: as kfast_send_record. Key, value and headers are read during the
 * call only.
 */
KFAST_API int kfast_send_batch(kfast_producer_t* producer, kfast_record_t* records, size_t count,
                               int timeout_ms);

/**
 * Begins a record whose value is made in the ring itself, without a copy: `*value` gets a pointer
 * to `record->value_size` writable bytes, with whatever in them, to be filled before kfast_commit.
 * They are not aligned. The value is not null; `record->value` and `record->position` are not
 * looked at, and key and headers are read during the call only. Never blocks. Returns 0, or an
 * error of kfast_send_record with `*value` NULL: whatever would refuse the record refuses it here.
 * One at a time: until kfast_commit or kfast_cancel, other sends and kfast_reserve answer
 * KFAST_ERR_INVALID; all else may be called. So it is not for thread.safe=true: KFAST_ERR_INVALID.
 * The reservation outlives a restart of kfastd. It ends without a record where the process dies or
 * the producer is closed; the memory is then not to be touched, nor after kfast_commit or
 * kfast_cancel, nor in a forked child. The record's time, where it is KFAST_NOW, is that of
 * kfast_reserve, and its delivery timeout runs from then.
 */
KFAST_API int kfast_reserve(kfast_producer_t* producer, const kfast_record_t* record, void** value);

/**
 * Sends the reserved record with the first `value_size` bytes of its value, at most what was
 * reserved; what is less goes back to the ring. Never blocks. Returns its position. Errors:
 * KFAST_ERR_INVALID (no reservation is open, or `value_size` is too large: then it stays open),
 * KFAST_ERR_FORKED, KFAST_ERR_CLOSED (the reservation is gone).
 */
KFAST_API int64_t kfast_commit(kfast_producer_t* producer, size_t value_size);

/** Gives a reservation back; nothing is sent. Returns 0, KFAST_ERR_INVALID (none is open) or
 * KFAST_ERR_FORKED. */
KFAST_API int kfast_cancel(kfast_producer_t* producer);

/** What became of a record. */
enum kfast_outcome {
  KFAST_DELIVERED = 1, /**< in Kafka, at `partition` and `offset` (-1: known only to have been
                          delivered, before a restart) */
  KFAST_FAILED = 2,    /**< not in Kafka and never will be; `error` says why */
  KFAST_UNKNOWN = 3    /**< may be in Kafka: the delivery timeout passed while a request was out */
};

/** A delivery report. 32 bytes for ever. */
typedef struct kfast_report {
  int64_t position;  /**< as returned by kfast_send */
  int64_t offset;    /**< in the partition; -1 when not delivered or not known */
  int32_t topic;     /**< as returned by kfast_topic */
  int32_t partition; /**< -1 when not known */
  int32_t outcome;   /**< enum kfast_outcome */
  int32_t error;     /**< 0, or librdkafka's error code: see kfast_report_text */
} kfast_report_t;

/**
 * Reads up to `max` reports, oldest first, into `reports`. Never blocks. Returns how many, 0 when
 * there are none now; then kfast_fd becomes readable when there are. Reports that are not read use
 * up the report ring, and when it is full sends answer KFAST_ERR_QUEUE_FULL: a worker that asks for
 * reports must read them. Errors: KFAST_ERR_INVALID, KFAST_ERR_FORKED; KFAST_ERR_CLOSED when
 * everything is read and kfastd ended the channel.
 */
KFAST_API int kfast_reports(kfast_producer_t* producer, kfast_report_t* reports, size_t max);

/**
 * kfast_reports that fills `opaques`, too, which has room for `max`: `opaques[i]` is the opaque
 * that the record of `reports[i]` was sent with, or NULL. Each comes back once; kfast_reports,
 * kfast_wait and kfast_send_wait drop those of the reports that they give.
 */
KFAST_API int kfast_reports_opaque(kfast_producer_t* producer, kfast_report_t* reports,
                                   void** opaques, size_t max);

/**
 * Writes a sentence about the error of `report` into `text`, cut to `text_size` bytes, NUL
 * included: Kafka's name of it and, for _AUTHENTICATION, _SSL and CLUSTER_AUTHORIZATION_FAILED, why
 * the brokers refused kfastd last, in librdkafka's words. Empty for error 0. 512 bytes are always
 * enough. Returns 0, KFAST_ERR_INVALID or KFAST_ERR_FORKED.
 */
KFAST_API int kfast_report_text(kfast_producer_t* producer, const kfast_report_t* report,
                                char* text, size_t text_size);

/**
 * Waits for the report of the record at `position`, as a send returned it, whatever order outcomes
 * come in, and takes it out of what kfast_reports gives. Reports of other records that come before
 * it are kept, in order, for kfast_reports or another kfast_wait, in memory of this process; they
 * count as unread, so a worker that waits for some records only must read the rest.
 * `timeout_ms`: 0 only looks, negative for ever. The wait goes on over a restart of kfastd, and
 * positions stay valid. Returns 0 with `*report` filled (`outcome` says which), else `*report` is
 * as it was:
 * KFAST_ERR_TIMED_OUT (the record stays in the ring and is still delivered; wait again, or read the
 * report later), KFAST_ERR_INVALID where no report will come (a send did not return the position,
 * the report was read already, or the option reports is not all), KFAST_ERR_NO_MEMORY (there is
 * none to keep the reports that came before; none is lost), KFAST_ERR_FORKED, KFAST_ERR_CLOSED.
 * With thread.safe=true the report of a record that a thread waits for is that thread's, also when
 * another thread calls kfast_reports; of two that wait for one record, one gets KFAST_ERR_INVALID.
 */
KFAST_API int kfast_wait(kfast_producer_t* producer, int64_t position, int timeout_ms,
                         kfast_report_t* report);

/**
 * Sends `record` as kfast_send_one does and waits for its report as kfast_wait does, `timeout_ms`
 * in all: 0 sends if there is room and looks once, negative for ever. Returns 0 when the outcome is
 * known: `report->outcome` says which, and kfast_kafka_error(report->error) names Kafka's error.
 * Else it returns an error of kfast_send_one or kfast_wait, and `report->position` is -1 when the
 * record was not accepted, else its position: it may still be delivered (after
 * KFAST_ERR_TIMED_OUT, say), and its report comes by kfast_wait or kfast_reports.
 * Needs the option reports=all: else nothing is sent, and the answer is KFAST_ERR_INVALID.
 */
KFAST_API int kfast_send_wait(kfast_producer_t* producer, const kfast_record_t* record,
                              int timeout_ms, kfast_report_t* report);

/**
 * Waits until every record sent so far, by whichever thread, has its outcome (its report is then
 * there to be read).
 * `timeout_ms` negative: for ever. Returns 0, KFAST_ERR_TIMED_OUT (the records stay in the ring and
 * are still delivered; without kfastd this says so in kfast_last_error), KFAST_ERR_FORKED or
 * KFAST_ERR_CLOSED.
 */
KFAST_API int kfast_flush(kfast_producer_t* producer, int timeout_ms);

/**
 * kfast_flush for the record at `position`, as a send returned it, and all that were sent before
 * it; what is sent after it is not waited for. With `timeout_ms` 0 it only looks, and when it
 * answers KFAST_ERR_TIMED_OUT it has asked for a wake-up (kfast_fd, kfast_bell) at kfastd's next
 * progress. Errors as kfast_flush, and KFAST_ERR_INVALID: no send has returned such a position.
 */
KFAST_API int kfast_flush_to(kfast_producer_t* producer, int64_t position, int timeout_ms);

/**
 * Gives up what was sent so far and kfastd has not handed over to Kafka's client yet. Never blocks:
 * kfastd sees to it in its next turn, or the kfastd that comes next if there is none now. These
 * records get the outcome failed with the error _PURGE_QUEUE, each with its report; where a kfastd
 * that is gone, or a Kafka producer that kfastd had to replace, may have sent one, it is not sent
 * again and its outcome is unknown with this error. What Kafka's client has already is delivered
 * or fails as ever, and what is sent after this call is not touched. The room comes free when the
 * records before have their outcomes, too. Returns 0, KFAST_ERR_FORKED or KFAST_ERR_CLOSED.
 */
KFAST_API int kfast_purge(kfast_producer_t* producer);

/** How many bytes of the ring hold records without an outcome, 0 to ring.bytes. */
KFAST_API uint64_t kfast_used_bytes(kfast_producer_t* producer);

/** How many bytes the ring has: ring.bytes. With kfast_used_bytes, how full it is. */
KFAST_API uint64_t kfast_ring_bytes(const kfast_producer_t* producer);

/**
 * A file descriptor for poll, epoll or select that never changes: readable when kfast_reports
 * should be called: there may be reports, or the connection wants attention. It is so from the
 * beginning, once, and goes quiet when kfast_reports gives fewer than were asked for. Owned by the
 * producer: do not read, write or close it.
 */
KFAST_API int kfast_fd(const kfast_producer_t* producer);

/** The room that kfast_bell's `hello` must have, for ever. */
#define KFAST_BELL_BYTES 64

/**
 * For event loops that can watch a connection of their own making, but not kfast_fd, such as
 * nginx's from Lua. Writes to `path`, as a C string, the name of a stream socket of kfastd; 108
 * bytes are always enough. Writes to `hello`, which has KFAST_BELL_BYTES, what a connection to it
 * sends first, and returns how many bytes that are. kfastd answers with one byte, and from then on
 * sends one at each wake-up that was asked for; after each byte call kfast_reports or
 * kfast_flush_to, which ask for the next one. One connection may ring for several producers of one
 * kfastd: send it the hello of each, one behind the other, also later. No byte says for whom it is,
 * and what it is means nothing, but for '-': the session of one of several producers has ended. Then
 * call this for each of them again and send what it gives; a hello that is known already does no
 * harm. The connection ends with the last of its sessions, or when kfastd has no room for it (a
 * session has 16 at most). Then call this again, until it succeeds, for a connection to the present
 * session: its hello is another. Each call tries, like kfast_reports, to come back to a kfastd that
 * was away, with a back-off of at most a second. Never blocks. The hello is a secret: who knows it
 * learns when this producer is woken, and nothing else. Errors: KFAST_ERR_NO_DAEMON (no session
 * now: call again later), KFAST_ERR_INVALID (also: `path_size` is too small), KFAST_ERR_FORKED,
 * KFAST_ERR_CLOSED.
 */
KFAST_API int kfast_bell(kfast_producer_t* producer, void* hello, char* path, size_t path_size);

/**
 * What the last failed call on this producer was about: a sentence. Valid until the next call on
 * the producer. Never NULL. With thread.safe=true it is the calling thread's own last failed call
 * on any such producer, or "" where that was another producer's, and valid until the thread's next
 * failed call or its end, whatever other threads do.
 */
KFAST_API const char* kfast_last_error(const kfast_producer_t* producer);

#ifdef __cplusplus
}
#endif

#endif /* KFAST_KFAST_H */
