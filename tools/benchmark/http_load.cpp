// http-load: requests to a server on this machine, as fast as N connections go or at a constant rate, and their latency.
//
// At a constant rate each request has its time, and its latency counts from then on: a server that stands still
// for a while is charged with every request that had to wait meanwhile, not only with those that were on their way.
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "give_up.hpp"
#include "http_connection.hpp"
#include "kfast/ipc/fd.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kPatience = 10 * kSecond;  // for what is still out at the end
constexpr std::size_t kEvents = 256;

struct Load {
  std::uint16_t port = 0;
  std::string path = "/";
  std::size_t body_bytes = 0;
  bool post = false;
  std::size_t connections = 32;
  double seconds = 1;
  double rate = 0;  // requests/s; 0: as fast as they go
};

class Generator {
 public:
  explicit Generator(const Load& load)
      : load_(load),
        request_(http_request(load.path, std::string(load.body_bytes, 'x'), load.post)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < load.connections; ++i) {
      connections_.emplace_back(load.port);
      epoll_event event{EPOLLIN, {.u64 = i}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_.back().fd(), &event) != 0) {
        give_up("epoll takes no connection");
      }
      idle_.push_back(i);
    }
    took_.reserve(1U << 20U);
  }

  void run() {
    start_ = now_ns(CLOCK_MONOTONIC);
    end_ = start_ + static_cast<std::uint64_t>(load_.seconds * static_cast<double>(kSecond));
    std::uint64_t now = start_;
    while (now < end_ || out() > 0) {
      if (now > end_ + kPatience) {
        give_up("the server does not answer");
      }
      if (load_.rate > 0) {
        send_what_is_due(now);
      } else {
        send_on_all(now);
      }
      receive(next_due());
      now = now_ns(CLOCK_MONOTONIC);
    }
    ended_ = now;
  }

  [[nodiscard]] nlohmann::json result() {
    const double seconds = static_cast<double>(ended_ - start_) / static_cast<double>(kSecond);
    const auto us = [&](double share) { return percentile(took_, share) / 1000; };
    nlohmann::json json = {{"requests", took_.size()},
                           {"refused", refused_},
                           {"requests_per_second", static_cast<double>(took_.size()) / seconds},
                           {"p50_us", us(0.5)},
                           {"p99_us", us(0.99)},
                           {"p999_us", us(0.999)},
                           {"max_us", us(1)}};
    if (refused_ > 0) {
      json["refused_status"] = refused_status_;
    }
    return json;
  }

 private:
  [[nodiscard]] std::size_t out() const { return connections_.size() - idle_.size(); }

  [[nodiscard]] std::uint64_t due(std::uint64_t request) const {
    return start_ + static_cast<std::uint64_t>(static_cast<double>(request) *
                                               static_cast<double>(kSecond) / load_.rate);
  }

  /// When something is to be done that no answer brings about.
  [[nodiscard]] std::uint64_t next_due() const {
    const bool waits = load_.rate > 0 && !idle_.empty() && due(sent_) < end_;
    return waits ? due(sent_) : out() > 0 ? end_ + kPatience : end_;
  }

  void send_on(std::uint64_t due_ns) {
    const std::size_t connection = idle_.back();
    idle_.pop_back();
    connections_[connection].send(request_, due_ns);
    ++sent_;
  }

  void send_what_is_due(std::uint64_t now) {
    while (!idle_.empty() && due(sent_) <= now && due(sent_) < end_) {
      send_on(due(sent_));
    }
  }

  void send_on_all(std::uint64_t now) {
    while (!idle_.empty() && now < end_) {
      send_on(now_ns(CLOCK_MONOTONIC));
    }
  }

  /// Waits until an answer or the time has come.
  void receive(std::uint64_t until) {
    const std::uint64_t now = now_ns(CLOCK_MONOTONIC);
    const std::uint64_t left = until > now ? until - now : 0;
    const timespec timeout{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
    std::array<epoll_event, kEvents> events;
    const int count = ::epoll_pwait2(epoll_.get(), events.data(), kEvents, &timeout, nullptr);
    if (count < 0 && errno != EINTR) {
      give_up("epoll_pwait2 failed");
    }
    for (int i = 0; i < count; ++i) {
      const auto number = static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64);
      HttpConnection& connection = connections_[number];
      const int status = connection.receive();
      if (status == 0) {
        continue;
      }
      const std::uint64_t took = now_ns(CLOCK_MONOTONIC) - connection.due_ns();
      took_.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(took, UINT32_MAX)));
      if (status < 200 || status > 299) {
        ++refused_;
        refused_status_ = status;
      }
      idle_.push_back(number);
    }
  }

  Load load_;
  std::string request_;
  ipc::Fd epoll_;
  std::vector<HttpConnection> connections_;
  std::vector<std::size_t> idle_;
  std::uint64_t start_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t refused_ = 0;
  int refused_status_ = 0;
  std::vector<std::uint32_t> took_;  // nanoseconds; 4.2 s stand for more, too
};

}  // namespace
}  // namespace kfast::bench

int main(int argc, char** argv) {
  kfast::bench::Load load;
  CLI::App app("Requests to a server on this machine, and their latency: a line of JSON");
  app.add_option("--port", load.port, "of 127.0.0.1")->required();
  app.add_option("--path", load.path, "what is asked for")->capture_default_str();
  app.add_flag("--post", load.post, "POST instead of GET");
  app.add_option("--body-bytes", load.body_bytes, "size of a POST's body")->capture_default_str();
  app.add_option("--connections", load.connections, "kept alive")->capture_default_str();
  app.add_option("--seconds", load.seconds, "how long")->capture_default_str();
  app.add_option("--rate", load.rate, "requests/s; 0: as fast as the connections go")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (load.connections == 0 || load.seconds <= 0 || load.rate < 0) {
    std::fprintf(stderr, "http-load: connections and seconds are above 0, the rate is not below\n");
    return 2;
  }
  // Else the kernel lets a sleep last 50 us longer.
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  kfast::bench::Generator generator(load);
  generator.run();
  std::printf("%s\n", generator.result().dump().c_str());
  return 0;
}
