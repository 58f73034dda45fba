// A client that says whatever a fuzz input tells it to.
//
// An input is a script. Each step is a byte that says what to do, and what that needs: messages
// start out as a good client would send them, and then some of their bytes are replaced.
#pragma once

#include <string>
#include <vector>

#include "input.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::fuzz {

class FuzzClient {
 public:
  FuzzClient(std::string session_socket, std::string bell_socket)
      : session_path_(std::move(session_socket)), bell_path_(std::move(bell_socket)) {}

  /// Does what the input says, until it ends.
  void run(Input& input);

  /// A good client's connection: Hello, and Welcome for it. Aborts when the daemon does not answer
  /// so.
  static void expect_welcome(const std::string& session_socket);

  /// Whether it may have been offered a channel that it never confirmed. Such an offer outlives its
  /// socket for as long as the process that was offered it, which is this one.
  [[nodiscard]] bool handed_back() const { return handed_back_; }

  /// All the sessions that a principal may have, at once: its offers have to give way to them.
  /// Aborts when they do not.
  static void expect_every_session(const std::string& session_socket, std::size_t count);

 private:
  struct Channel {
    std::uint32_t number = 0;
    ipc::Geometry geometry{};
    std::vector<ipc::Fd> fds;  // as Opened brought them
  };

  void step(std::uint8_t what, Input& input);
  void connect();
  template <class Message>
  void send_spoiled(Message message, Input& input, const std::vector<int>& fds = {});
  void send_raw(const void* bytes, std::size_t size, const std::vector<int>& fds);
  void open(std::uint8_t shape, Input& input);
  void resume(std::uint8_t shape, Input& input);
  void read_answers();
  void ring_bell(std::uint8_t shape, Input& input);
  void write_memory(std::uint8_t shape, Input& input);
  [[nodiscard]] std::vector<int> some_descriptors(std::uint8_t which);

  std::string session_path_;
  std::string bell_path_;
  ipc::Fd socket_;
  ipc::Welcome welcome_{};
  std::uint32_t offered_ = 0;  // the last resumed channel
  bool handed_back_ = false;
  int owed_ = 0;  // answers to messages that were sent
  std::vector<Channel> channels_;
  std::vector<ipc::Fd> bells_;
  std::vector<ipc::Fd> kept_;
};

}  // namespace kfast::fuzz
