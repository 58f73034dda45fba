#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kfastctl/commands.hpp"
#include "kfastctl/record_input.hpp"
#include "kfastctl/record_sender.hpp"

namespace kfast::ctl {
namespace {

constexpr std::size_t kChunk = std::size_t{256} * 1024;
// The largest record that any ring takes: a quarter of the largest ring. Lines beyond it are not
// even held in memory.
constexpr std::size_t kLongestRecord = std::size_t{256} << 20;

/// Waits for input, and reads reports as they come. False when stdin cannot be waited for.
bool wait_for_input(RecordSender& sender) {
  while (true) {
    pollfd entries[] = {{STDIN_FILENO, POLLIN, 0}, {sender.fd(), POLLIN, 0}};
    if (::poll(entries, 2, -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    if (entries[1].revents != 0) {
      sender.read_reports();
    }
    if (entries[0].revents != 0) {
      return true;
    }
  }
}

/// False when no more can be sent.
bool send_what_is_there(RecordSplitter& splitter, const ProduceOptions& options,
                        RecordSender& sender) {
  while (true) {
    switch (splitter.next()) {
      case RecordSplitter::Next::need_more:
        return true;
      case RecordSplitter::Next::too_long:
        sender.refuse("it is longer than " + std::to_string(kLongestRecord) +
                      " bytes, more than any ring takes");
        break;
      case RecordSplitter::Next::record:
        if (!sender.send(options.key_delimiter
                             ? split_key(splitter.record(), *options.key_delimiter)
                             : KeyAndValue{std::nullopt, splitter.record()})) {
          return false;
        }
        break;
    }
  }
}

/// True when all of stdin was read and sent or refused by name.
bool send_stdin(const ProduceOptions& options, RecordSender& sender) {
  RecordSplitter splitter(options.delimiter, kLongestRecord);
  std::string chunk(kChunk, '\0');
  while (true) {
    const ssize_t got =
        wait_for_input(sender) ? ::read(STDIN_FILENO, chunk.data(), chunk.size()) : -1;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (got < 0) {
      std::fprintf(stderr, "kfastctl: cannot read stdin: %s\n", std::strerror(errno));
      return false;
    }
    if (got == 0) {
      splitter.finish();
      return send_what_is_there(splitter, options, sender);
    }
    splitter.append({chunk.data(), static_cast<std::size_t>(got)});
    if (!send_what_is_there(splitter, options, sender)) {
      std::fprintf(stderr, "kfastctl: the rest of stdin was not sent\n");
      return false;
    }
  }
}

}  // namespace

int run_produce(const std::string& socket_dir, const ProduceOptions& options) {
  RecordSender sender(options);
  if (const std::string wrong = sender.open(socket_dir); !wrong.empty()) {
    std::fprintf(stderr, "kfastctl: %s\n", wrong.c_str());
    return 1;
  }
  const bool all_sent = send_stdin(options, sender);
  sender.finish();
  std::fputs(sender.summary().c_str(), stderr);
  return all_sent && sender.counts().all_delivered() ? 0 : 1;
}

}  // namespace kfast::ctl
