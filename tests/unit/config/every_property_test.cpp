// Every property that the installed librdkafka knows, through kfastd's own file reader: it is set,
// or it is refused with a reason.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "config/kafka_conf.hpp"
#include "config/kafka_properties.hpp"
#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

/// A row of librdkafka's own table.
struct Row {
  std::string name;
  std::string side;  // "P", "C" or "*"
  std::string range;
  std::string value;  // its default
  bool pointer = false;
};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<Row> all_rows() {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  rd_kafka_conf_properties_show(stream);
  std::fclose(stream);
  std::istringstream lines(std::string(text, size));
  std::free(text);
  std::vector<Row> rows;
  for (std::string line; std::getline(lines, line);) {
    std::array<std::string, 4> cells;
    std::istringstream rest(line);
    for (std::string& cell : cells) {
      std::getline(rest, cell, '|');
      cell = trimmed(cell);
    }
    // Some stand in the table of topics, too; librdkafka sets the global one.
    const bool again =
        std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return row.name == cells[0]; });
    if (again) {
      continue;
    }
    if (cells[1] == "P" || cells[1] == "C" || cells[1] == "*") {
      rows.push_back({cells[0], cells[1], cells[2], cells[3],
                      line.find("see dedicated API") != std::string::npos});
    }
  }
  return rows;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("-0123456789") == std::string::npos;
}

/// A legal value, another one than the default where there is one.
std::string other_value(const Row& row) {
  static const std::map<std::string, std::string> special = {
      {"debug", "msg"},
      {"sasl.mechanisms", "PLAIN"},
      {"sasl.mechanism", "PLAIN"},
      {"partitioner", "consistent"},
      {"bootstrap.servers", "k9:9092"},
      {"metadata.broker.list", "k9:9092"},
      {"client.dns.lookup", "resolve_canonical_bootstrap_servers_only"},
      {"broker.version.fallback", "0.11.0"},
  };
  if (const auto found = special.find(row.name); found != special.end()) {
    return found->second;
  }
  if (const auto dots = row.range.find(".."); dots != std::string::npos) {
    const std::string low = trimmed(row.range.substr(0, dots));
    const std::string high = trimmed(row.range.substr(dots + 2));
    EXPECT_TRUE(is_number(low) && is_number(high) && is_number(row.value)) << row.name;
    const long long value = std::stoll(row.value);
    return std::to_string(value < std::stoll(high) ? value + 1 : value - 1);
  }
  std::istringstream words(row.range);
  for (std::string word; std::getline(words, word, ',');) {
    if (trimmed(word) != row.value) {
      return trimmed(word);
    }
  }
  return "some." + row.name;
}

/// How the file's reader and the table of exceptions answer to one property.
struct Answer {
  std::string errors;
  std::string set;  // as it stands in the rd_kafka_conf_t
};

Answer answer_to(const std::string& name, const std::string& value) {
  std::string quoted;
  for (const char c : value) {
    quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  const bool cluster = name == "bootstrap.servers" || name == "metadata.broker.list";
  const std::string line = '"' + name + "\" = \"" + quoted + "\"\n";
  const std::string text =
      cluster ? "[clusters.main]\n" + line + profile_default + allow_root : file_with("", line);
  const auto loaded = load_text(text, "kfastd.toml", ".");
  if (!loaded.ok()) {
    return {all_errors(loaded), ""};
  }
  const Config& config = loaded->config;
  const auto made = make_producer_conf(config.clusters.at("main"), config.profiles.at("default"));
  if (!made.ok()) {
    return {to_text(made.error().front()), ""};
  }
  return {"", get_property(made->conf.get(), name)};
}

/// What librdkafka itself answers where the platform or its build has no such thing.
bool unsupported(const std::string& name, const std::string& value) {
  const KafkaConf conf(rd_kafka_conf_new());
  char why[256] = "";
  return rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why, sizeof why) !=
             RD_KAFKA_CONF_OK &&
         (std::string(why).find("not supported") != std::string::npos ||
          std::string(why).find("not available") != std::string::npos ||
          std::string(why).find("only") != std::string::npos);
}

TEST(EveryProperty, OfAProducerIsSetOrRefusedWithAReason) {
  std::size_t set = 0;
  std::string without;
  for (const Row& row : all_rows()) {
    SCOPED_TRACE(row.name);
    if (row.side == "C") {
      continue;
    }
    const std::string value = other_value(row);
    const Answer answer = answer_to(row.name, value);
    if (row.pointer || !reserved_reason(row.name).empty()) {
      EXPECT_TRUE(has(answer.errors, "'" + row.name + "' is reserved: "));
      EXPECT_GT(reserved_reason(row.name).size(), 15U) << "no reason";
    } else if (unsupported(row.name, value)) {
      EXPECT_TRUE(has(answer.errors, "librdkafka refuses '" + row.name + "': "));
      without += " " + row.name;
    } else {
      EXPECT_EQ(answer.errors, "");
      EXPECT_EQ(answer.set, value);
      ++set;
      if (!row.value.empty()) {
        EXPECT_EQ(answer_to(row.name, row.value).errors, "") << "its default, " << row.value;
      }
    }
  }
  RecordProperty("not in this librdkafka", without);
  EXPECT_GE(set, 90U) << "the table was not read whole";
}

TEST(EveryProperty, OfAConsumerIsRefusedWithASentence) {
  std::size_t refused = 0;
  for (const Row& row : all_rows()) {
    if (row.side != "C") {
      continue;
    }
    SCOPED_TRACE(row.name);
    const std::string errors = answer_to(row.name, other_value(row)).errors;
    if (row.pointer || !reserved_reason(row.name).empty()) {
      EXPECT_TRUE(has(errors, "'" + row.name + "' is reserved: "));
    } else {
      EXPECT_TRUE(has(errors, "'" + row.name + "' is a consumer's property"));
    }
    ++refused;
  }
  EXPECT_GE(refused, 30U);
}

}  // namespace
}  // namespace kfast::daemon::config
