#include "config/kafka_catalogue.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace kfast::daemon::config {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) {
    return "";
  }
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

std::string shown_by_librdkafka() {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  if (stream == nullptr) {
    std::abort();
  }
  rd_kafka_conf_properties_show(stream);
  std::fclose(stream);
  std::string shown(text, size);
  std::free(text);
  return shown;
}

// A row: name | C/P | range | default | importance | description.
std::vector<KnownProperty> parse(const std::string& shown) {
  std::vector<KnownProperty> known;
  std::istringstream lines(shown);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find('|');
    if (first == std::string::npos) {
      continue;
    }
    const auto second = line.find('|', first + 1);
    const std::string side =
        second == std::string::npos
            ? ""
            : trimmed(std::string_view(line).substr(first + 1, second - first - 1));
    if (side != "*" && side != "P" && side != "C") {
      continue;
    }
    KnownProperty property;
    property.name = trimmed(std::string_view(line).substr(0, first));
    property.canonical = property.name;
    property.side = side == "P"   ? KnownProperty::Side::producer
                    : side == "C" ? KnownProperty::Side::consumer
                                  : KnownProperty::Side::both;
    property.pointer = line.find("see dedicated API") != std::string::npos;
    constexpr std::string_view alias = "| Alias for `";
    if (const auto at = line.find(alias); at != std::string::npos) {
      const auto begin = at + alias.size();
      property.canonical = line.substr(begin, line.find('`', begin) - begin);
    }
    // The global row comes first and wins over the topic row of the same name.
    const bool again = std::any_of(known.begin(), known.end(), [&](const KnownProperty& other) {
      return other.name == property.name;
    });
    if (!again) {
      known.push_back(std::move(property));
    }
  }
  return known;
}

}  // namespace

const std::vector<KnownProperty>& known_properties() {
  static const std::vector<KnownProperty> known = parse(shown_by_librdkafka());
  return known;
}

const KnownProperty* find_known(std::string_view name) {
  const auto& known = known_properties();
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const KnownProperty& p) { return p.name == name; });
  return found == known.end() ? nullptr : &*found;
}

std::string_view canonical(std::string_view name) {
  const KnownProperty* known = find_known(name);
  return known == nullptr ? name : std::string_view(known->canonical);
}

std::vector<std::string_view> known_property_names() {
  std::vector<std::string_view> names;
  for (const KnownProperty& property : known_properties()) {
    if (!property.pointer) {
      names.emplace_back(property.name);
    }
  }
  return names;
}

}  // namespace kfast::daemon::config
