#include "daemon_process.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kafka_settings.hpp"
#include "kfast/kfast.h"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr const char* kSocketDir = "KFAST_SOCKET_DIR";
constexpr auto kStartDeadline = std::chrono::seconds(20);

std::string make_folder() {
  std::string pattern = std::filesystem::temp_directory_path() / "kfast-bench.XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    give_up("no temporary folder could be made: is $TMPDIR writable?");
  }
  return pattern;
}

}  // namespace

DaemonProcess::DaemonProcess(const Settings& settings)
    : executable_(settings.executable), folder_(make_folder()) {
  write_configuration(settings);
  if (const char* before = std::getenv(kSocketDir); before != nullptr) {
    folder_before_ = before;
  }
  ::setenv(kSocketDir, folder_.c_str(), 1);
  start();
  wait_until_it_answers();
}

void DaemonProcess::kill() {
  ::kill(process_.pid(), SIGKILL);
  static_cast<void>(process_.wait());
}

void DaemonProcess::start() {
  process_ = ChildProcess({executable_, "--config", folder_ + "/kfastd.toml"}, STDERR_FILENO);
}

DaemonProcess::~DaemonProcess() {
  process_.stop();
  if (!folder_before_.empty()) {
    ::setenv(kSocketDir, folder_before_.c_str(), 1);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void DaemonProcess::write_configuration(const Settings& settings) const {
  std::ofstream file(folder_ + "/kfastd.toml");
  file << "[daemon]\nsocket_dir = \"" << folder_ << "\"\nlog_level = \"warn\"\n";
  if (!settings.nap_us.empty()) {
    file << "nap_us = " << settings.nap_us << '\n';
  }
  file << "[clusters.main]\n\"bootstrap.servers\" = \"" << settings.brokers << "\"\n"
       << "[profiles.default]\ncluster = \"main\"\n";
  for (const Setting& setting : common_settings()) {
    const bool instead = !settings.linger_ms.empty() && std::strcmp(setting.name, "linger.ms") == 0;
    file << '"' << setting.name << "\" = \""
         << (instead ? settings.linger_ms.c_str() : setting.value) << "\"\n";
  }
  file << "[[allow]]\nuid = " << ::getuid() << "\nproduce = [\"kfast-bench-*\"]\n"
       << "trusted = " << (settings.trusted ? "true" : "false") << '\n';
}

void DaemonProcess::wait_until_it_answers() {
  std::array<char, 512> why{};
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  for (;;) {
    kfast_producer_t* producer = nullptr;
    const int code = kfast_producer_open(nullptr, &producer, why.data(), why.size());
    kfast_producer_close(producer);
    if (code == KFAST_OK) {
      return;
    }
    if (process_.ended()) {
      give_up("kfastd ended at its start; the lines above say why");
    }
    if (std::chrono::steady_clock::now() > until) {
      give_up(std::string("kfastd does not answer: ") + why.data());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace kfast::bench
