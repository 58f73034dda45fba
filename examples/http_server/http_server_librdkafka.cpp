// http_server.cpp with librdkafka in the process, for comparison: broker connections, their
// threads, their addresses and passwords, and the records that wait for them, are this process's.
//
//   c++ -std=c++20 -pthread http_server_librdkafka.cpp -o http_server_librdkafka
//       $(pkg-config --cflags --libs rdkafka cpp-httplib)
//   ./http_server_librdkafka PORT TOPIC BROKERS
#include <librdkafka/rdkafka.h>
#include <poll.h>

#include <array>
#include <cstdlib>

#include "service.hpp"

namespace {

void print_failure(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::cerr << "record: " << rd_kafka_err2name(message->err) << '\n';
  }
}

// With what kfastd sets, too.
rd_kafka_t* open_producer(const char* brokers) {
  std::array<char, 512> why{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : {std::pair("bootstrap.servers", brokers),
                                    {"enable.idempotence", "true"},
                                    {"compression.type", "lz4"},
                                    {"partitioner", "murmur2_random"}}) {
    if (rd_kafka_conf_set(conf, name, value, why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      std::cerr << why.data() << '\n';
      rd_kafka_conf_destroy(conf);
      return nullptr;
    }
  }
  rd_kafka_conf_set_dr_msg_cb(conf, print_failure);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  if (producer == nullptr) {
    std::cerr << why.data() << '\n';
    rd_kafka_conf_destroy(conf);
  }
  return producer;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: http_server_librdkafka PORT TOPIC BROKERS\n";
    return 2;
  }
  Service service;
  rd_kafka_t* producer = open_producer(argv[3]);
  if (producer == nullptr) {
    return 1;
  }
  const auto record = [&](const std::string& client, const std::string& line) {
    // The value is copied, though the parameter is not const.
    const auto error = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(client.data(), client.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(line.data()), line.size()), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      std::cerr << std::string("not recorded: ") + rd_kafka_err2str(error) + "\n";
    }
  };
  if (!service.start(std::atoi(argv[1]), record)) {
    return 1;
  }
  pollfd wait = {service.signal_fd(), POLLIN, 0};
  do {
    rd_kafka_poll(producer, 100);
  } while (poll(&wait, 1, 0) == 0);
  service.stop();
  // What has no outcome by then is lost with this process.
  const auto flushed = rd_kafka_flush(producer, 10000);
  if (flushed != RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::cerr << rd_kafka_outq_len(producer) << " records are lost\n";
  }
  rd_kafka_destroy(producer);
  return flushed == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 1;
}
