#include "keeper/kept_set.hpp"

#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace kfast::daemon::keeper {
namespace {

/// An environment string of 128 KiB cannot be passed on; kfastd does not ask for more, either.
constexpr std::size_t kMaxNamesBytes = std::size_t{125} * 1024;
constexpr std::size_t kMaxName = 255;

bool is_legal(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 127 && c != ':'; });
}

/// The value behind `key` and '=' when the line is that.
bool is(std::string_view line, std::string_view key, std::string_view& value) {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != '=') {
    return false;
  }
  value = line.substr(key.size() + 1);
  return true;
}

}  // namespace

std::string KeptSet::take(std::string_view message, std::vector<ipc::Fd> fds) {
  std::string name = "stored";
  std::string rest;
  bool store = false;
  bool remove = false;
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    const std::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    std::string_view value;
    if (is(line, "FDSTORE", value)) {
      store = value == "1";
    } else if (is(line, "FDSTOREREMOVE", value)) {
      remove = value == "1";
    } else if (is(line, "FDNAME", value)) {
      name = value;
    } else if (!is(line, "FDPOLL", value) && !is(line, "BARRIER", value) && !line.empty()) {
      rest += std::string(line) + '\n';
    }
  }
  if (remove) {
    std::erase_if(entries_, [this, &name](const Entry& each) {
      if (each.name == name) {
        names_bytes_ -= name.size() + 1;
      }
      return each.name == name;
    });
  } else if (store) {
    keep(name, std::move(fds));
  }
  return rest;
}

void KeptSet::keep(const std::string& name, std::vector<ipc::Fd> fds) {
  for (ipc::Fd& fd : fds) {
    if (!is_legal(name) || names_bytes_ + name.size() + 1 > kMaxNamesBytes) {
      std::fprintf(stderr, "kfastd --keeper: a descriptor is not kept: %s name=%.255s\n",
                   is_legal(name) ? "there are too many" : "no legal name", name.c_str());
      return;
    }
    names_bytes_ += name.size() + 1;
    entries_.push_back({name, std::move(fd)});
  }
}

std::size_t KeptSet::channels_without_worker() const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& each) {
        pollfd look{each.fd.get(), POLLIN, 0};
        return each.name.ends_with(".pid") && ::poll(&look, 1, 0) == 1;
      }));
}

std::string KeptSet::names() const {
  std::string names;
  for (const Entry& each : entries_) {
    names += (names.empty() ? "" : ":") + each.name;
  }
  return names;
}

}  // namespace kfast::daemon::keeper
