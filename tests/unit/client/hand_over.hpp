// A producer whose kfastd dies, and another one that takes its channel over.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include "fake_daemon.hpp"

namespace kfast::test {

class HandOver : public OpenProducer {
 protected:
  /// The daemon dies; its channel's memory lives on in the client only.
  void die() {
    daemon.stop();
    session.close();
    old_.emplace(std::move(*channel));
    channel.reset();
  }

  /// Lets the client work on its connection until `done`.
  template <class Done>
  void keep_calling(Done&& done) {
    while (!done()) {
      static_cast<void>(kfast_used_bytes(producer));
      std::this_thread::yield();
    }
  }

  /// Plays the new daemon on another thread while the client calls the library.
  template <class Answer>
  void come_back(Answer&& answer) {
    daemon.start();
    std::future<void> served = std::async(std::launch::async, [&] {
      session = daemon.accept();
      static_cast<void>(session.receive().as<ipc::Hello>());
      session.welcome();
      Message message = session.receive();
      const auto request = message.as<ipc::ResumeProducer>();
      ASSERT_EQ(message.fds.size(), 2U);
      answer(request, message);
    });
    keep_calling(
        [&] { return served.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    served.get();
  }

  void take_over() {
    come_back([&](const ipc::ResumeProducer& request, Message& message) {
      channel.emplace(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
      session.resume(*channel, request.request);
      await_confirm();
    });
  }

  void await_confirm() {
    EXPECT_EQ(session.receive().as<ipc::Confirm>().channel, 2U);
    // What the daemon reads first is about its own ring.
    EXPECT_EQ(channel->c2d().d2c_head.load(), 0U);
  }

  std::optional<FakeChannel> old_;
};

}  // namespace kfast::test
