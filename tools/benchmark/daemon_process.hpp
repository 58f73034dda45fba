// A kfastd of the benchmark's own.
#pragma once

#include <memory>
#include <string>

#include "child_process.hpp"

namespace kfast::bench {

/// Runs kfastd with a configuration in a temporary folder, and points this process and its children
/// at it, for as long as it lives.
class DaemonProcess {
 public:
  struct Settings {
    std::string executable;
    std::string brokers;
    bool trusted = false;   // its workers are
    std::string linger_ms;  // instead of the common setting; empty: that one
    std::string nap_us;     // instead of kfastd's default; empty: that one
  };
  /// Returns when it answers; ends the process if it does not.
  explicit DaemonProcess(const Settings& settings);
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;
  ~DaemonProcess();

  [[nodiscard]] int pid() const { return process_.pid(); }
  /// kill -9; returns when it is gone.
  void kill();
  /// Starts it again; does not wait until it answers.
  void start();

 private:
  void write_configuration(const Settings& settings) const;
  void wait_until_it_answers();

  std::string executable_;
  std::string folder_;
  std::string folder_before_;  // where clients looked for kfastd until now; empty: nowhere
  ChildProcess process_;
};

}  // namespace kfast::bench
