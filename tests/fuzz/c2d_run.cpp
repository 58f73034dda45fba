#include "c2d_run.hpp"

#include <fcntl.h>

#include <string>
#include <utility>

namespace kfast::fuzz {
namespace {

namespace channel = daemon::channel;
using channel::ProducerChannel;
using channel::RecordOutcome;
using channel::RecordView;
using channel::Submission;
using ipc::Outcome;

constexpr std::uint32_t kTopics = 4;
constexpr std::size_t kTopicBytes = 16;
constexpr std::uint64_t kOpaqueBase = 0x0005'0007'0000'0000;
constexpr std::uint64_t kMinute = 60'000;

volatile unsigned g_sum;  // so that no read is optimised away

ipc::Geometry geometry_for(std::uint8_t settings) {
  return ipc::geometry_of(std::uint64_t{4096} << (settings & 1U),
                          std::uint64_t{4096} << (settings >> 1U & 1U), kTopics);
}

ipc::Fd copy_of(const ipc::Fd& fd) {
  return ipc::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

channel::OpenedTopic ReadingSink::open_topic(std::string_view name) {
  promise(name.size() <= ipc::kMaxTopicName, "a topic name is never longer than 249 bytes");
  unsigned sum = 0;
  for (const char c : name) {
    sum += static_cast<unsigned char>(c);
  }
  g_sum = sum;
  channel::OpenedTopic opened;
  opened.stats = &stats_;
  if (!name.empty() && name[0] == 'x') {
    opened.state = ipc::TopicState::not_allowed;
    opened.refusal = {Outcome::failed, 29, -1, -1};
  }
  return opened;
}

void ReadingSink::read(const std::byte* at, std::size_t size) {
  promise(at >= begin_ && at <= end_ && size <= static_cast<std::size_t>(end_ - at),
          "a record's bytes lie inside the ring");
  unsigned sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    sum += static_cast<unsigned>(at[i]);
  }
  g_sum = sum;
}

Submission ReadingSink::submit(void* /*topic*/, RecordView& record, std::uint64_t opaque) {
  ++offered;
  promise(opaque >> 32U == kOpaqueBase >> 32U, "the opaque keeps its base");
  if (mode_ == 1) {
    return {Submission::Kind::later, {}, {}};
  }
  const auto read_all = [this](const std::byte* at, std::size_t size) {
    if (at != nullptr) {
      read(at, size);
    }
  };
  if (record.extension.header_count != 0 || record.headers.size() != 0) {
    channel::HeaderWalk walk(std::move(record.headers), record.extension.header_count);
    channel::HeaderView header;
    std::uint32_t steps = 0;
    while (walk.next(header)) {
      promise(++steps <= ipc::kMaxHeaders, "headers come to an end");
      std::move(header.name).read_once(read_all);
      std::move(header.value).read_once(read_all);
    }
    if (!walk.ok()) {
      return {Submission::Kind::malformed, {}, {}};
    }
  }
  std::move(record.key).read_once(read_all);
  std::move(record.value).read_once(read_all);
  if (mode_ == 2) {
    return {Submission::Kind::refused, {Outcome::failed, 10, -1, -1}, {}};
  }
  owed.push_back(static_cast<std::uint32_t>(opaque));
  return {};
}

C2dRun::C2dRun(daemon::telemetry::TopicBlock& stats, Input& input)
    : stats_(stats), settings_byte_(input.byte()), script_(nullptr, 0) {
  const auto script = input.take(input.byte());
  script_ = Input(script.data(), script.size());

  auto segments = channel::create_segments(geometry_for(settings_byte_), 1, 1);
  promise(segments.ok(), "segments can be made");
  client_ = std::make_unique<channel::test::RawClient>(*segments);
  ipc::C2dHeader& words = client_->words();
  const auto tail = input.next<std::uint16_t>();
  const auto rest = input.byte();  // of the words: honest ones, or any at all
  words.tail = (rest & 1U) != 0 ? input.next<std::uint64_t>() : tail;
  words.topic_count = (rest & 2U) != 0 ? input.next<std::uint32_t>() : kTopics;
  words.waiting = (rest & 4U) != 0 ? input.next<std::uint64_t>() : 0;
  words.purged_until = (rest & 16U) != 0 ? input.next<std::uint64_t>() : 0;
  if ((rest & 8U) != 0) {
    words.d2c_head = input.next<std::uint64_t>();
    honest_reader_ = false;
  }
  for (std::uint32_t i = 0; i < kTopics; ++i) {
    const auto entry = input.take(kTopicBytes);
    std::memcpy(client_->c2d_bytes() + segments->geometry.topic_table + i * sizeof(ipc::TopicEntry),
                entry.data(), entry.size());
  }
  const auto ring = input.take(segments->geometry.c2d_ring_bytes);
  std::memcpy(client_->ring_at(0), ring.data(), ring.size());

  settings_.reports = static_cast<ipc::ReportsMode>((settings_byte_ >> 2U & 3U) % 3);
  settings_.delivery_timeout_ms = (settings_byte_ & 0x10U) != 0 ? 5 * kMinute : 0;
  sink_ = std::make_unique<ReadingSink>(stats_);
  channel_ = std::make_unique<ProducerChannel>(segments.take(), settings_, std::nullopt);
  sink_->allow(channel_->segments().c2d_at(channel_->segments().geometry.c2d_ring),
               channel_->segments().geometry.c2d_ring_bytes);
}

std::span<std::byte> C2dRun::client_memory() {
  return {client_->c2d_bytes(), channel_->segments().geometry.c2d_bytes};
}

void C2dRun::run() {
  while (!script_.empty()) {
    step(script_.byte());
    check_positions();
  }
  end();
}

void C2dRun::step(std::uint8_t operation) {
  switch (operation % 16) {
    case 0:
    case 1:
      return take(operation / 16U * 4U + 1U);
    case 2:
    case 3: {
      const std::uint8_t which = script_.byte();
      return resolve_one(which, operation / 16);
    }
    case 4:
      return finish_round();
    case 5:
      static_cast<void>(channel_->must_wake_client());
      return;
    case 6: {
      if (channel_->parked()) {
        channel_->unpark();
      } else if (channel_->park()) {
        promise(channel_->taken() == channel_->tail(), "a parked channel has nothing unread");
      }
      return;
    }
    case 7:
    case 8:
      return send_as_client(operation / 16);
    case 9: {
      const auto where = script_.next<std::uint16_t>();
      return scribble(where, script_.next<std::uint32_t>());
    }
    case 10:
      return read_reports();
    case 11:
      client_->words().tail.fetch_add(ipc::kFrameAlign * (operation / 16U + 1U));
      return;
    case 12:
      if (operation / 16 % 2 != 0) {
        client_->words().purged_until.store(client_->words().tail.load());
      } else {
        client_->words().waiting.fetch_add(1);
      }
      return;
    case 13:
      return replace_daemon();
    case 14:
      return sink_->answer_with(operation / 16 % 4);
    default:
      if (operation / 16 == 15) {
        channel_->stop_at_tail();
      } else {
        now_ms_ += kMinute * (operation / 16U);
      }
  }
}

void C2dRun::take(std::uint32_t at_most) {
  purge(at_most);
  const std::uint32_t offered = sink_->offered;
  const std::uint64_t taken = channel_->taken();
  const bool finished = channel_->finished_taking();
  const auto result = channel_->take(*sink_, kOpaqueBase, at_most, now_ms_);
  promise(result.records <= at_most && sink_->offered - offered <= at_most,
          "a turn takes no more than it may");
  promise(channel_->taken() - taken == result.bytes, "taken moves by the bytes of the turn");
  promise(!finished || (result.bytes == 0 && !result.more), "a stopped channel takes nothing");
  if (result.violation != nullptr) {
    end_violator();
  }
}

void C2dRun::purge(std::uint32_t at_most) {
  const std::uint32_t offered = sink_->offered;
  const std::uint64_t taken = channel_->taken();
  const bool finished = channel_->finished_taking();
  const auto result = channel_->purge(*sink_, at_most);
  promise(sink_->offered == offered, "what is given up is not handed over");
  promise(result.records <= at_most, "a turn gives up no more than it may");
  promise(channel_->taken() - taken == result.bytes, "taken moves by what is given up");
  promise(!finished || (result.bytes == 0 && !result.more), "a stopped channel gives up nothing");
  if (result.violation != nullptr) {
    end_violator();
  }
}

// As the shard does it.
void C2dRun::end_violator() {
  violated_ = true;
  channel_->stop_taking();
  channel_->stop_reports();
}

void C2dRun::resolve_one(std::uint8_t which, std::uint8_t outcome) {
  if (sink_->owed.empty()) {
    channel_->resolve(which, {}, {});  // nobody's, or settled already
    return;
  }
  const std::size_t index = which % sink_->owed.size();
  const std::uint32_t sequence = sink_->owed[index];
  sink_->owed.erase(sink_->owed.begin() + static_cast<std::ptrdiff_t>(index));
  RecordOutcome result;
  switch (outcome % 4) {
    case 0:
    case 1:
      result = {Outcome::delivered, 0, outcome % 3, static_cast<std::int64_t>(resolved_)};
      break;
    case 2:
      result = {Outcome::failed, static_cast<std::int16_t>(outcome), -1, -1};
      break;
    default:
      result = {Outcome::unknown, -192, 0, -1};
  }
  ++resolved_;
  channel_->resolve(sequence, result, {});
}

void C2dRun::finish_round() {
  if (!channel_->finish_round()) {
    end_violator();
    promise(channel_->finish_round(), "without reports a round can always be finished");
  }
}

void C2dRun::send_as_client(std::uint8_t shape) {
  channel::test::RecordSpec spec;
  spec.topic = shape % kTopics;
  spec.sent_ms = now_ms_;
  spec.value = std::string(std::size_t{shape} * 40U, 'v');
  if (shape % 2 != 0) {
    spec.key = "key";
  }
  // Where the client's word stands now, which need not be where it was ever written by us.
  const std::string frame = channel::test::frame_of(spec);
  const std::uint64_t tail = client_->words().tail.load();
  const std::uint64_t ring = channel_->segments().geometry.c2d_ring_bytes;
  const std::uint64_t room = ring - (tail & (ring - 1));
  if (tail % ipc::kFrameAlign != 0 || frame.size() > room) {
    return;
  }
  std::memcpy(client_->ring_at(tail), frame.data(), frame.size());
  client_->words().tail.store(tail + frame.size());
}

void C2dRun::scribble(std::uint32_t where, std::uint64_t value) {
  const std::span<std::byte> memory = client_memory();
  const std::size_t at = where * 4 % (memory.size() - sizeof(std::uint32_t));
  honest_reader_ = honest_reader_ && (at + 4 <= offsetof(ipc::C2dHeader, d2c_head) ||
                                      at >= offsetof(ipc::C2dHeader, waiting));
  const auto word = static_cast<std::uint32_t>(value);
  std::memcpy(memory.data() + at, &word, sizeof word);
}

void C2dRun::read_reports() {
  if (!honest_reader_ || wants_scribbler()) {
    return;
  }
  const auto reports = client_->read_reports();
  promise(reports.well_formed, "reports are well-formed for a client that only reads them");
}

void C2dRun::replace_daemon() {
  const channel::Segments& old = channel_->segments();
  const std::uint64_t head = channel_->head();
  auto adopted =
      channel::adopt_segments(old.geometry, copy_of(old.c2d_fd), copy_of(old.d2c_fd), 1, 2);
  promise(adopted.ok(), "what one daemon leaves behind another one can take over");
  promise(adopted->inheritance.head == head, "the head survives");
  promise(adopted->inheritance.taken - head >= channel_->taken() - head,
          "nothing that was handed over is forgotten");
  sink_->owed.clear();
  channel_ = std::make_unique<ProducerChannel>(std::move(adopted->segments), settings_,
                                               adopted->inheritance);
  const ipc::Geometry& geometry = channel_->segments().geometry;
  sink_->allow(channel_->segments().c2d_at(geometry.c2d_ring), geometry.c2d_ring_bytes);
  client_->swap_in(channel_->segments());
  resolved_ = 0;
  violated_ = false;
}

void C2dRun::check_positions() const {
  const ipc::D2cHeader& words = client_->daemon_words();
  const std::uint64_t head = channel_->head();
  promise(words.head.load() == head, "the head's word is the head");
  promise(channel_->taken() - head <= channel_->tail() - head, "head <= taken <= tail");
  promise(channel_->used_bytes() <= channel_->segments().geometry.c2d_ring_bytes,
          "no more is used than the ring has");
  promise(words.taken.load() - head >= channel_->taken() - head,
          "the word of what was handed over is not behind");
}

void C2dRun::end() {
  sink_->answer_with(0);
  channel_->stop_at_tail();
  // Every turn moves on by a frame at least, so a ring has no more turns than it has places for
  // frames.
  const std::uint64_t turns = channel_->segments().geometry.c2d_ring_bytes / ipc::kFrameAlign;
  for (std::uint64_t turn = 0; !channel_->finished_taking(); ++turn) {
    promise(turn <= turns, "a stopped channel comes to its end");
    take(16);
  }
  const std::uint64_t taken = channel_->taken();
  while (!sink_->owed.empty()) {
    promise(!channel_->drained(), "a channel that owes outcomes is not drained");
    resolve_one(0, 0);
  }
  finish_round();
  promise(channel_->drained(), "a channel without debts is drained");
  promise(channel_->head() == taken, "the head comes as far as taken");
  check_positions();
  read_reports();
}

}  // namespace kfast::fuzz
