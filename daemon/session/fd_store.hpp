// Descriptors that outlive this process: systemd's file descriptor store, or whoever speaks its
// protocol.
//
// The protocol is sd_notify(3)'s, on the datagram socket $NOTIFY_SOCKET: FDSTORE=1 with a name and
// a descriptor, FDSTOREREMOVE=1 with a name, BARRIER=1 with one end of a pipe, which the other side
// closes when it has done everything before. What is stored comes back at the next start, from
// descriptor 3 on, with $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES (sd_listen_fds(3)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "session/event_loop.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::session {

/// A descriptor that this process was started with, and the name under which it was stored.
struct KeptFd {
  std::string name;
  ipc::Fd fd;
};

/// What this process was started with.
struct KeptFds {
  std::vector<KeptFd> fds;
  /// How many the next one can be started with: half of the soft RLIMIT_NOFILE that is in force
  /// now. systemd sorts them under that limit, and needs numbers that nobody has beside theirs
  /// ("Failed to adjust passed file descriptors"); what it cannot sort it cannot start, ever.
  std::size_t most = 0;
};

/// Takes the descriptors that came with the start, and takes the variables that speak of them out
/// of the environment. Once, before the process has other threads and before it changes its limits.
[[nodiscard]] KeptFds take_kept_fds();

/// One thread: the loop's. Without $NOTIFY_SOCKET it does nothing. A manager that keeps nothing
/// (FileDescriptorStoreMax=0) answers as one that does.
///
/// The other side may be stopped, hang or be gone. Then nobody waits for it for longer than a few
/// seconds; what it was to be told waits here, and is told when it is back.
class FdStore {
 public:
  /// `most`: of KeptFds.
  FdStore(EventLoop& loop, telemetry::DaemonBlock& counters, std::size_t most);
  FdStore(const FdStore&) = delete;
  FdStore& operator=(const FdStore&) = delete;
  ~FdStore();

  [[nodiscard]] bool active() const { return socket_.valid(); }
  /// Whether it is known to keep descriptors: it has said so by $FDSTORE (systemd does since its
  /// version 254), or has given some back; and it answers.
  [[nodiscard]] bool known_to_keep() const { return known_to_keep_ && answers_; }
  /// Whether it is gone when this kfastd has stopped, as a keeper (it says so by $KFAST_KEEPER).
  [[nodiscard]] bool ends_with_kfastd() const { return ends_with_kfastd_; }

  /// Whether it is active, and so many more descriptors and the names of another channel have room
  /// in it, as far as that is known.
  [[nodiscard]] bool has_room(std::size_t descriptors) const;
  [[nodiscard]] std::size_t most_passed() const { return most_passed_; }
  /// Whether it has said that it has room for another one.
  [[nodiscard]] bool has_room_for_sure() const { return names_.size() < most_; }
  /// Has the descriptor kept under a name that is not in use: up to 255 bytes, no ':' and no
  /// control characters. False: the names of all that is kept would not fit into the environment of
  /// the next start, so it is not kept.
  [[nodiscard]] bool keep(const std::string& name, const ipc::Fd& fd);
  /// A descriptor of this name is kept already, since before our start.
  void note_kept(const std::string& name);
  void forget(const std::string& name);

  /// Calls `go_on` when the other side has done everything until now, or gives no answer in a few
  /// seconds, and `done` when it has, however late. From the loop, or at once without a store.
  void barrier(std::function<void()> go_on, std::function<void()> done = {});

  /// Any other message of sd_notify(3): READY=1, STATUS=…
  void tell(const std::string& text);

 private:
  struct Message {
    std::string text;
    ipc::Fd fd;
    std::string keeps;  // the name under which the descriptor is to be kept
  };
  enum class Sent : std::uint8_t { yes, full, failed };
  /// Who waits for a barrier.
  struct Waiters {
    std::vector<std::function<void()>> go_on;
    std::vector<std::function<void()>> done;
  };

  void add(const std::string& name);
  void send(Message message);
  void flush();
  [[nodiscard]] Sent try_send(const Message& message);
  void watch(bool on);
  void set_timer();
  void on_timer();
  void start_barrier();
  void on_answer();
  void give_up(const std::string& why);
  void let_go_on(Waiters& waiters);

  EventLoop& loop_;
  telemetry::DaemonBlock& counters_;
  ipc::Fd socket_;
  ipc::Fd timer_;
  bool known_to_keep_ = false;
  bool ends_with_kfastd_ = false;
  std::size_t most_ = 0;         // descriptors that it keeps; 0: not known
  std::size_t most_passed_ = 0;  // to the next kfastd
  bool answers_ = true;
  bool watched_ = false;         // the other side's queue is full
  bool failed_ = false;          // it is gone
  std::deque<Message> waiting_;  // because of one of these
  std::set<std::string> names_;
  std::size_t names_bytes_ = 0;
  ipc::Fd barrier_;  // our end of the pipe of the one barrier that is out
  Waiters waiters_;  // for it
  Waiters later_;    // for the next one: many who ask at a time cost one barrier
};

}  // namespace kfast::daemon::session
