// Descriptors that outlive this process: systemd's file descriptor store, or whoever speaks its
// protocol.
//
// The protocol is sd_notify(3)'s, on the datagram socket $NOTIFY_SOCKET: FDSTORE=1 with a name and
// a descriptor, FDSTOREREMOVE=1 with a name, BARRIER=1 with one end of a pipe, which the other side
// closes when it has done everything before. What is stored comes back at the next start, from
// descriptor 3 on, with $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES (sd_listen_fds(3)).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "session/event_loop.hpp"

namespace kfast::daemon::session {

/// A descriptor that this process was started with, and the name under which it was stored.
struct KeptFd {
  std::string name;
  ipc::Fd fd;
};

/// Takes the descriptors that came with the start, and takes the variables that speak of them out
/// of the environment. Once, before the process has other threads.
[[nodiscard]] std::vector<KeptFd> take_kept_fds();

/// One thread: the loop's. Without $NOTIFY_SOCKET it does nothing. A manager that keeps nothing
/// (FileDescriptorStoreMax=0) answers as one that does.
class FdStore {
 public:
  explicit FdStore(EventLoop& loop);
  FdStore(const FdStore&) = delete;
  FdStore& operator=(const FdStore&) = delete;
  ~FdStore();

  [[nodiscard]] bool active() const { return socket_.valid(); }
  /// Whether it is known to keep descriptors: it has said so by $FDSTORE (systemd does since its
  /// version 254), or has given some back.
  [[nodiscard]] bool known_to_keep() const { return known_to_keep_; }
  /// Whether it is gone when this kfastd has stopped, as a keeper (it says so by $KFAST_KEEPER).
  [[nodiscard]] bool ends_with_kfastd() const { return ends_with_kfastd_; }

  /// Whether it is active and there is room for the names of another channel.
  [[nodiscard]] bool has_room() const;
  /// Has the descriptor kept under a name that is not in use: up to 255 bytes, no ':' and no
  /// control characters. False: the names of all that is kept would not fit into the environment of
  /// the next start, so it is not kept.
  [[nodiscard]] bool keep(const std::string& name, const ipc::Fd& fd);
  /// A descriptor of this name is kept already, since before our start.
  void note_kept(const std::string& name);
  void forget(const std::string& name);

  /// Calls `done` when the other side has done everything until now: from the loop, or at once
  /// without a store.
  void barrier(std::function<void()> done);

 private:
  struct Message {
    std::string text;
    ipc::Fd fd;
  };
  void add(const std::string& name);
  void send(Message message);
  [[nodiscard]] bool try_send(const Message& message);
  void on_writable();

  EventLoop& loop_;
  ipc::Fd socket_;
  bool known_to_keep_ = false;
  bool ends_with_kfastd_ = false;
  std::deque<Message> waiting_;  // the other side's queue is full
  std::set<std::string> names_;
  std::size_t names_bytes_ = 0;
  std::map<int, std::pair<ipc::Fd, std::function<void()>>> barriers_;
};

}  // namespace kfast::daemon::session
