// kafka-proxy: a synchronous HTTP proxy to Kafka, for comparison. POST /topics/NAME produces the body by librdkafka in
// this process and is answered after its delivery report, with partition and offset.
//
// As such proxies are made: a thread for each connection, one producer for all, connections kept alive. Its settings
// are those of kfastd in the same measurement.
#include <librdkafka/rdkafka.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "give_up.hpp"
#include "kafka_settings.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::bench {
namespace {

constexpr std::size_t kThreads = 600;  // one for each connection
constexpr int kPollMs = 100;
constexpr int kFlushMs = 10'000;

/// One record's, on the stack of the thread that waits for it.
struct Outcome {
  std::mutex mutex;
  std::condition_variable came;
  bool is_there = false;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto* outcome = static_cast<Outcome*>(message->_private);
  // Under the lock, as the waiting thread takes the outcome away with it.
  const std::lock_guard lock(outcome->mutex);
  outcome->error = message->err;
  outcome->partition = message->partition;
  outcome->offset = message->offset;
  outcome->is_there = true;
  outcome->came.notify_one();
}

rd_kafka_t* open_producer(const std::string& brokers, const std::string& linger_ms) {
  rd_kafka_conf_t* conf = producer_conf(brokers, linger_ms);
  rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  std::string why(512, '\0');
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  if (producer == nullptr) {
    give_up(why);
  }
  return producer;
}

void answer(httplib::Response& response, int status, const nlohmann::json& body) {
  response.status = status;
  response.set_content(body.dump() + '\n', "application/json");
}

void produce(rd_kafka_t* producer, const httplib::Request& request, httplib::Response& response) {
  const std::string topic = request.matches[1];
  Outcome outcome;
  const rd_kafka_resp_err_t refused = rd_kafka_producev(
      producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_VALUE(const_cast<char*>(request.body.data()), request.body.size()),
      RD_KAFKA_V_OPAQUE(&outcome), RD_KAFKA_V_END);
  if (refused != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return answer(response, 503, {{"error", rd_kafka_err2str(refused)}});
  }
  std::unique_lock lock(outcome.mutex);
  outcome.came.wait(lock, [&] { return outcome.is_there; });
  if (outcome.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return answer(response, 502, {{"error", rd_kafka_err2str(outcome.error)}});
  }
  answer(response, 200,
         {{"topic", topic}, {"partition", outcome.partition}, {"offset", outcome.offset}});
}

void serve(std::uint16_t port, rd_kafka_t* producer, int signals) {
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(SIZE_MAX);
  server.set_keep_alive_timeout(3600);
  server.set_tcp_nodelay(true);
  server.Post(R"(/topics/([\w.-]+))",
              [&](const httplib::Request& request, httplib::Response& response) {
                produce(producer, request, response);
              });
  server.Get("/ready",
             [](const httplib::Request&, httplib::Response& response) { response.status = 204; });
  // httplib asks for a queue of 5, in which a gateway's connections get lost.
  int listener = -1;
  server.set_socket_options([&](int fd) { listener = fd; });
  if (!server.bind_to_port("127.0.0.1", port) || ::listen(listener, SOMAXCONN) != 0) {
    give_up("port " + std::to_string(port) + " is not free");
  }
  std::thread ender([&] {
    signalfd_siginfo signal{};
    static_cast<void>(!::read(signals, &signal, sizeof signal));
    server.stop();
  });
  server.listen_after_bind();
  ender.join();
}

}  // namespace
}  // namespace kfast::bench

int main(int argc, char** argv) {
  namespace bench = kfast::bench;
  std::uint16_t port = 0;
  std::string brokers;
  std::string linger_ms;
  CLI::App app("A synchronous HTTP proxy to Kafka: POST /topics/NAME");
  app.add_option("--port", port, "of 127.0.0.1")->required();
  app.add_option("--brokers", brokers, "Kafka's")->required();
  app.add_option("--linger-ms", linger_ms, "librdkafka's linger.ms");
  CLI11_PARSE(app, argc, argv);
  // Before there are threads: all leave them to signalfd.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const kfast::ipc::Fd signals(::signalfd(-1, &set, SFD_CLOEXEC));

  rd_kafka_t* producer = bench::open_producer(brokers, linger_ms);
  std::atomic<bool> go_on{true};
  std::thread reports([&] {
    while (go_on.load()) {
      rd_kafka_poll(producer, bench::kPollMs);
    }
  });
  bench::serve(port, producer, signals.get());
  rd_kafka_flush(producer, bench::kFlushMs);
  go_on.store(false);
  reports.join();
  rd_kafka_destroy(producer);
  return 0;
}
