#include "config/secrets.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "config/nearest.hpp"
#include "config/read_file.hpp"

namespace kfast::daemon::config {
namespace {

constexpr std::size_t largest_secret = 1 << 20;

Problem problem(const Node& table, std::string text, std::string cure) {
  return Problem{table.where, std::move(text), std::move(cure)};
}

void drop_line_end(std::string& value) {
  if (!value.empty() && value.back() == '\n') {
    value.pop_back();
    if (!value.empty() && value.back() == '\r') {
      value.pop_back();
    }
  }
}

Result<Secret, Problem> from_file(const Node& table, const std::string& path,
                                  const std::string& cure) {
  auto read = read_file(path, largest_secret);
  if (!read) {
    return Failure{problem(table, "the secret cannot be read: " + read.error(), cure)};
  }
  Secret secret{read.take(), {}};
  drop_line_end(secret.value);
  if (secret.value.empty()) {
    return Failure{problem(table, "the secret in " + path + " is empty", cure)};
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
    secret.warnings.push_back("every user of this machine can read the secret in " + path);
  }
  return secret;
}

Result<Secret, Problem> from_environment(const Node& table, const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') {
    return Failure{problem(table, "the environment variable " + name + " is not set",
                           "set it for kfastd, or use { file = \"...\" }")};
  }
  return Secret{value, {}};
}

Result<Secret, Problem> from_credential(const Node& table, const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..") {
    return Failure{problem(table, "a credential is named without a path", "write its name alone")};
  }
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  const std::string cure = "add LoadCredential=" + name + ":/path to kfastd's systemd unit";
  if (directory == nullptr || *directory == '\0') {
    return Failure{problem(
        table, "kfastd was given no systemd credentials ($CREDENTIALS_DIRECTORY is not set)",
        cure)};
  }
  return from_file(table, std::string(directory) + "/" + name, cure);
}

}  // namespace

Result<Secret, Problem> read_secret(const Node& table, const std::string& directory) {
  static const std::vector<std::string_view> sources{"file", "env", "credential"};
  constexpr std::string_view form =
      "write exactly one of { file = \"...\" }, { env = \"...\" }, "
      "{ credential = \"...\" }";
  for (const Entry& entry : table.entries) {
    if (entry.key != "file" && entry.key != "env" && entry.key != "credential") {
      return Failure{Problem{entry.where, "unknown key '" + entry.key + "' of a secret",
                             did_you_mean(entry.key, sources, form)}};
    }
  }
  if (table.entries.size() != 1) {
    return Failure{
        problem(table, "it is not clear where this secret comes from", std::string(form))};
  }
  const Entry& source = table.entries.front();
  if (source.value.kind != Node::Kind::text || source.value.text.empty()) {
    return Failure{Problem{source.value.where, "'" + source.key + "' of a secret is a string",
                           std::string(form)}};
  }
  const std::string& name = source.value.text;
  if (source.key == "env") {
    return from_environment(table, name);
  }
  if (source.key == "credential") {
    return from_credential(table, name);
  }
  const std::string path = name.front() == '/' ? name : directory + "/" + name;
  return from_file(table, path, "name a file that kfastd's user can read");
}

}  // namespace kfast::daemon::config
