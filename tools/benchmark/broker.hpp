// The broker's process, to be stopped for a while.
#pragma once

#include <csignal>

#include "worker.hpp"

namespace kfast::bench {

/// Never stays stopped. Ends this process where the broker's cannot be stopped.
class Broker {
 public:
  explicit Broker(int pid) : pid_(pid) {}
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker() { resume(); }
  void stop() const {
    if (::kill(pid_, SIGSTOP) != 0) {
      give_up("the broker's process cannot be stopped: is --kafka-pid right?");
    }
  }
  void resume() const { ::kill(pid_, SIGCONT); }

 private:
  int pid_;
};

}  // namespace kfast::bench
