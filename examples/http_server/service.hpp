// The HTTP part that both servers share: a store of items in memory (GET, PUT and DELETE
// /items/NAME) that hands a line of JSON about each request to whoever records them.
#pragma once

#include <httplib.h>
#include <sys/signalfd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

class Service {
 public:
  // Called by httplib's threads, several at a time.
  using Record = std::function<void(const std::string& client, const std::string& line)>;

  // Make it before anything starts a thread: all threads are to leave the signals to signal_fd.
  Service() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  }

  // Readable when SIGINT or SIGTERM has come.
  [[nodiscard]] int signal_fd() const { return signal_fd_; }

  // Serves on 127.0.0.1, port 0 for any free one, until stop().
  [[nodiscard]] bool start(int port, Record record) {
    using httplib::Request;
    using httplib::Response;
    server_.Get(R"(/items/(\w+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      const auto item = items_.find(request.matches[1]);
      if (item == items_.end()) {
        response.status = 404;
      } else {
        response.set_content(item->second, "text/plain");
      }
    });
    server_.Put(R"(/items/(\w+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      items_[request.matches[1]] = request.body;
      response.status = 204;
    });
    server_.Delete(R"(/items/(\w+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      response.status = items_.erase(request.matches[1]) > 0 ? 204 : 404;
    });
    // A thread serves one request at a time: routing begins it, and the logger ends it.
    using Clock = std::chrono::steady_clock;
    static thread_local Clock::time_point begun;
    server_.set_pre_routing_handler([](const Request&, Response&) {
      begun = Clock::now();
      return httplib::Server::HandlerResponse::Unhandled;
    });
    server_.set_logger([record = std::move(record)](const Request& request,
                                                    const Response& response) {
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
      const nlohmann::json line = {{"method", request.method},
                                   {"path", request.path},
                                   {"status", response.status},
                                   {"microseconds", took.count()}};
      // A path may hold any bytes; JSON holds UTF-8 only.
      record(request.remote_addr,
             line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    });
    port = port == 0 ? server_.bind_to_any_port("127.0.0.1")
                     : (server_.bind_to_port("127.0.0.1", port) ? port : -1);
    if (port < 0) {
      std::cerr << "the port is not free\n";
      return false;
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::yield();  // until then stop() would do nothing
    }
    std::cout << "listening on http://127.0.0.1:" << port << std::endl;
    return true;
  }

  // Returns when every request was answered and recorded.
  void stop() {
    server_.stop();
    thread_.join();
  }

 private:
  httplib::Server server_;
  std::thread thread_;
  std::mutex mutex_;
  std::map<std::string, std::string> items_;
  int signal_fd_ = -1;
};
