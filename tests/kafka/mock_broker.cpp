// librdkafka's mock broker as a program, for answers that a healthy Kafka does not give. It prints
// its address, and then does what each line on stdin says, with "ok" or "failed" for each, until
// stdin ends:
//   topic NAME PARTITIONS
//   fail API ERROR COUNT     the next COUNT requests of that api key are answered with the error
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

bool obey(rd_kafka_mock_cluster_t* cluster, std::istringstream line) {
  std::string verb;
  line >> verb;
  if (verb == "topic") {
    std::string name;
    int partitions = 0;
    return line >> name >> partitions &&
           rd_kafka_mock_topic_create(cluster, name.c_str(), partitions, 1) ==
               RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  if (verb == "fail") {
    std::int16_t api = 0;
    int error = 0;
    std::size_t count = 0;
    if (!(line >> api >> error >> count)) {
      return false;
    }
    const std::vector<rd_kafka_resp_err_t> errors(count, static_cast<rd_kafka_resp_err_t>(error));
    rd_kafka_mock_push_request_errors_array(cluster, api, errors.size(), errors.data());
    return true;
  }
  return false;
}

}  // namespace

int main() {
  std::array<char, 512> why{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  static_cast<void>(rd_kafka_conf_set(conf, "log_level", "3", why.data(), why.size()));
  rd_kafka_t* handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  rd_kafka_mock_cluster_t* cluster =
      handle == nullptr ? nullptr : rd_kafka_mock_cluster_new(handle, 1);
  if (cluster == nullptr) {
    std::cerr << "no mock broker: " << why.data() << '\n';
    return 1;
  }
  std::cout << rd_kafka_mock_cluster_bootstraps(cluster) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << (obey(cluster, std::istringstream(line)) ? "ok" : "failed") << std::endl;
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(handle);
  return 0;
}
