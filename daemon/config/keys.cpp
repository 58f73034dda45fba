#include "config/keys.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace kfast::daemon::config {
namespace {

constexpr std::uint64_t unbounded = std::uint64_t{1} << 62;

constexpr auto keys = std::to_array<Key>({
    {Section::daemon, "socket_dir", Type::path, 0, 0, "",
     "Directory of the sockets kfastd.sock and bell.sock; clients find it by KFAST_SOCKET_DIR.",
     &Daemon::socket_dir},
    {Section::daemon, "socket_mode", Type::mode, 0, 0777, "",
     "Permissions of the sockets. Who may do what is for [[allow]], so everybody may connect.",
     &Daemon::socket_mode},
    {Section::daemon, "socket_group", Type::text, 0, 0, "",
     "Group that owns the sockets; empty keeps the daemon's own.", &Daemon::socket_group},
    {Section::daemon, "shards", Type::integer, 1, 64, "",
     "Threads that move records. This version runs one.", &Daemon::shards},
    {Section::daemon, "log_level", Type::choice, 0, 0, "trace debug info warn error critical",
     "The least that is logged.", &Daemon::log_level},
    {Section::daemon, "drain_timeout_ms", Type::integer, 0, 600'000, "",
     "Milliseconds that a stop waits for Kafka to take what is in the rings.",
     &Daemon::drain_timeout_ms},
    {Section::daemon, "spin_us", Type::integer, 0, 1'000, "",
     "Microseconds that a busy shard looks for more before it sleeps.", &Daemon::spin_us},
    // No longer, since nobody rings for credit that is used up in a nap.
    {Section::daemon, "nap_us", Type::integer, 0, 20'000, "",
     "Most microseconds that a shard naps between rounds; never more than half of linger.ms. With "
     "linger.ms=0, from four records on their way on, until Kafka answers.",
     &Daemon::nap_us},
    {Section::daemon, "max_linger_ms", Type::integer, 0, 60'000, "",
     "Most milliseconds that records stay in their rings where they are spread over so many topics "
     "that Kafka requests for them would take more than an eighth of a processor; 0, and profiles "
     "with linger.ms = 0: they never do.",
     &Daemon::max_linger_ms},

    {Section::profiles,
     "cluster",
     Type::text,
     0,
     0,
     "",
     "Name of the [clusters.NAME] that the profile is on. Required.",
     {}},

    {Section::allow,
     "user",
     Type::text,
     0,
     0,
     "",
     "Whom the rule is for, by name. Exactly one of user, uid, group.",
     {}},
    {Section::allow,
     "uid",
     Type::integer,
     0,
     0xffff'fffe,
     "",
     "Whom the rule is for, by number.",
     {}},
    {Section::allow, "group", Type::text, 0, 0, "", "Everybody in that group, by name.", {}},
    {Section::allow, "produce", Type::patterns, 0, 0, "", "Topics that may be written.", {}},
    {Section::allow, "consume", Type::patterns, 0, 0, "", "Topics that may be read.", {}},
    {Section::allow, "groups", Type::patterns, 0, 0, "", "Consumer groups that may be joined.", {}},
    {Section::allow,
     "trusted",
     Type::boolean,
     0,
     0,
     "",
     "Whether librdkafka reads their records in their rings, without a copy, which is cheaper (but "
     "for profiles that compress with snappy). A worker that writes over what it has sent then "
     "changes it, or has its batch refused with others' records.",
     {}},

    {Section::limits, "sessions", Type::integer, 1, 1'000'000, "",
     "Connections of workers at a time.", &Limits::sessions},
    {Section::limits, "channels", Type::integer, 1, 1'000'000, "",
     "Producers and consumers at a time, closed ones with records in flight included.",
     &Limits::channels},
    {Section::limits, "ring_bytes", Type::integer, 65'536, unbounded, "",
     "Bytes of shared memory at a time, both segments of every channel.", &Limits::ring_bytes},
    {Section::limits, "topics", Type::integer, 1, 1'000'000, "",
     "Topics used since kfastd started, counted once a profile: librdkafka keeps them that long.",
     &Limits::topics},
    {Section::limits, "records_per_second", Type::integer, 0, unbounded, "",
     "Records per second that are taken from the rings; 0 is unlimited.",
     &Limits::records_per_second},
    {Section::limits, "bytes_per_second", Type::integer, 0, unbounded, "",
     "Bytes per second that are taken from the rings; 0 is unlimited.", &Limits::bytes_per_second},
});

}  // namespace

std::span<const Key> all_keys() {
  return keys;
}

std::vector<std::string_view> key_names(Section section) {
  std::vector<std::string_view> names;
  for (const Key& key : keys) {
    if (key.section == section) {
      names.push_back(key.name);
    }
  }
  return names;
}

const Key* find_key(Section section, std::string_view name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) {
    return key.section == section && key.name == name;
  });
  return found == keys.end() ? nullptr : &*found;
}

std::string_view section_name(Section section) {
  switch (section) {
    case Section::daemon:
      return "[daemon]";
    case Section::profiles:
      return "[profiles.NAME]";
    case Section::allow:
      return "[[allow]]";
    case Section::limits:
      return "[limits.NAME]";
  }
  std::abort();
}

std::string expected(const Key& key) {
  switch (key.type) {
    case Type::text:
      return "a string";
    case Type::path:
      return "an absolute path";
    case Type::mode:
      return "octal permissions in quotes, as \"0660\"";
    case Type::boolean:
      return "true or false";
    case Type::patterns:
      return "a list of names, '*' matching any run of characters";
    case Type::integer:
      return key.max == unbounded
                 ? "an integer of at least " + std::to_string(key.min)
                 : "an integer from " + std::to_string(key.min) + " to " + std::to_string(key.max);
    case Type::choice: {
      std::string text = "one of";
      std::string_view rest = key.choices;
      while (!rest.empty()) {
        const auto end = std::min(rest.find(' '), rest.size());
        text += (text == "one of" ? " " : ", ") + std::string(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      return text;
    }
  }
  std::abort();
}

}  // namespace kfast::daemon::config
