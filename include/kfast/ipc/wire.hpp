// The session socket's messages: one SOCK_SEQPACKET packet each, fixed structs, text in fixed
// fields.
//
//   client                                daemon
//   Hello  ------------------------------>
//          <------------------------------ Welcome | Refused
//   OpenProducer ------------------------>
//          <------------------------------ Opened + fds{c2d, d2c, eventfd, shard page} | Refused
//   ResumeProducer + fds{c2d, d2c} ------>
//          <------------------------------ Opened + fds{d2c, eventfd, shard page} | Refused
//   Confirm -----------------------------> (the daemon takes nothing of a resumed channel before)
//   Close -------------------------------> (the daemon drains what was committed)
//          <------------------------------ Closed
//          <------------------------------ Wake (reports are there, or room is), Notice (a last
//          word)
//
// The bell socket (SOCK_STREAM): the client sends BellHello, then only reads single wake-up bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {

inline constexpr std::uint32_t kWireMagic = 0x5353464BU;  // "KFSS"
inline constexpr std::uint16_t kProtocolMin = 1;
inline constexpr std::uint16_t kProtocolMax = 1;

inline constexpr char kSessionSocketName[] = "kfastd.sock";
inline constexpr char kBellSocketName[] = "bell.sock";
inline constexpr char kStatsFileName[] = "stats";
inline constexpr char kDefaultSocketDir[] = "/run/kfast";
inline constexpr char kSocketDirVariable[] = "KFAST_SOCKET_DIR";

enum class MessageType : std::uint16_t {
  hello = 1,
  welcome = 2,
  refused = 3,
  open_producer = 4,
  opened = 5,
  resume_producer = 6,
  close = 7,
  closed = 8,
  wake = 9,
  notice = 10,
  confirm = 11,
};

struct MessageHead {
  std::uint32_t magic = kWireMagic;
  MessageType type{};
  std::uint16_t size = 0;  // of the whole message, bytes
};
static_assert(sizeof(MessageHead) == 8);

inline constexpr std::size_t kVersionText = 32;
inline constexpr std::size_t kNameText = 64;
inline constexpr std::size_t kReasonText = 400;
inline constexpr std::size_t kTokenBytes = 16;

struct Hello {
  static constexpr MessageType kType = MessageType::hello;
  MessageHead head;
  std::uint16_t protocol_min;
  std::uint16_t protocol_max;
  std::uint16_t layout_major;
  std::uint16_t layout_minor;
  char version[kVersionText];  // of libkfast, for people
  char program[kNameText];     // what the worker calls itself, for people; never used to decide
                               // anything
};
static_assert(sizeof(Hello) == 112);

struct Welcome {
  static constexpr MessageType kType = MessageType::welcome;
  MessageHead head;
  std::uint16_t protocol;  // chosen by the daemon within both ranges
  std::uint16_t layout_major;
  std::uint16_t layout_minor;
  std::uint16_t zero;
  std::uint64_t session;
  std::uint8_t token[kTokenBytes];  // binds a bell connection to this session
  char version[kVersionText];       // of kfastd
};
static_assert(sizeof(Welcome) == 72);

/// Why the daemon says no. Values are stable: clients map them to KFAST_ERR_*.
enum class RefusalCode : std::int32_t {
  version = 1,
  bad_message = 2,
  unknown_profile = 3,
  limit = 4,
  not_allowed = 5,
  bad_geometry = 6,
  out_of_resources = 7,
  draining = 8,  // the daemon is going down; come back
  busy = 9,      // the channel that is handed back is still being drained; come back
  bad_segment = 10,
  violation = 11,
};

struct Refused {
  static constexpr MessageType kType = MessageType::refused;
  MessageHead head;
  std::uint32_t request;
  RefusalCode code;
  char text[kReasonText];  // a sentence: cause and cure
};
static_assert(sizeof(Refused) == 416);

/// Which outcomes are reported to the client; losses are always counted by the daemon.
enum class ReportsMode : std::uint32_t { all = 0, errors = 1, none = 2 };

struct OpenProducer {
  static constexpr MessageType kType = MessageType::open_producer;
  MessageHead head;
  std::uint32_t request;
  ReportsMode reports;
  std::uint64_t c2d_ring_bytes;  // powers of two
  std::uint64_t d2c_ring_bytes;
  std::uint32_t topic_capacity;
  std::uint32_t zero;
  char profile[kNameText];
};
static_assert(sizeof(OpenProducer) == 104);

/// The client hands its segments back after the daemon was replaced; geometry is checked against
/// the fds.
struct ResumeProducer {
  static constexpr MessageType kType = MessageType::resume_producer;
  MessageHead head;
  std::uint32_t request;
  ReportsMode reports;
  Geometry geometry;
  char profile[kNameText];
};
static_assert(sizeof(ResumeProducer) == 168);

struct Opened {
  static constexpr MessageType kType = MessageType::opened;
  MessageHead head;
  std::uint32_t request;
  std::uint32_t channel;
  std::uint64_t position;          // head of the c2d ring: 0 for a new channel
  std::uint64_t max_record_bytes;  // of key, value and headers together, that this profile accepts
  Geometry geometry;
};
static_assert(sizeof(Opened) == 120);

/// The client has what came with Opened for a resumed channel, and lets go of the d2c segment that
/// it handed back. Until then the old segment says what was reported, so the daemon must not go on:
/// an answer that the client could not take would leave it with a past that is no longer true.
struct Confirm {
  static constexpr MessageType kType = MessageType::confirm;
  MessageHead head;
  std::uint32_t channel;
  std::uint32_t zero;
};
static_assert(sizeof(Confirm) == 16);

struct Close {
  static constexpr MessageType kType = MessageType::close;
  MessageHead head;
  std::uint32_t channel;
  std::uint32_t zero;
};
static_assert(sizeof(Close) == 16);

struct Closed {
  static constexpr MessageType kType = MessageType::closed;
  MessageHead head;
  std::uint32_t channel;
  std::uint32_t zero;
};
static_assert(sizeof(Closed) == 16);

struct Wake {
  static constexpr MessageType kType = MessageType::wake;
  MessageHead head;
};
static_assert(sizeof(Wake) == 8);

struct Notice {
  static constexpr MessageType kType = MessageType::notice;
  MessageHead head;
  RefusalCode code;
  std::uint32_t zero;
  char text[kReasonText];
};
static_assert(sizeof(Notice) == 416);

inline constexpr std::size_t kMaxMessage = 512;
inline constexpr std::size_t kMaxFds = 4;

/// What a bell connection sends first, and again, at any time, for each further session that it is
/// to ring for. The daemon answers each with kBellBound, also the same once more; then it rings with
/// kBellRings, and says kBellSessionEnded when one of several sessions has ended. The connection
/// ends with the last of its sessions, and with a hello that names none.
struct BellHello {
  char magic[8];  // "KFBELL1\n"
  std::uint64_t session;
  std::uint8_t token[kTokenBytes];
};
static_assert(sizeof(BellHello) == 32);
inline constexpr char kBellMagic[9] = "KFBELL1\n";
inline constexpr char kBellBound = '+';
inline constexpr char kBellRings = '!';
inline constexpr char kBellSessionEnded = '-';

/// A message of type T with its head filled in and everything else zero.
template <class T>
[[nodiscard]] T make_message() noexcept {
  static_assert(sizeof(T) <= kMaxMessage);
  T message{};
  message.head.magic = kWireMagic;
  message.head.type = T::kType;
  message.head.size = sizeof(T);
  return message;
}

/// Copies text into a fixed field, cut to fit, always NUL-terminated.
template <std::size_t N>
void put_text(char (&field)[N], const char* text) noexcept {
  std::size_t n = 0;
  for (; n + 1 < N && text[n] != '\0'; ++n) {
    field[n] = text[n];
  }
  field[n] = '\0';
}

}  // namespace kfast::ipc
