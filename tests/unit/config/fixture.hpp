// What the tests of the configuration share: a valid file to spoil, and its errors as text.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "config/load.hpp"

namespace kfast::daemon::config {

inline const std::string cluster_main = "[clusters.main]\n\"bootstrap.servers\" = \"k1:9092\"\n";
inline const std::string profile_default = "[profiles.default]\ncluster = \"main\"\n";
inline const std::string allow_root = "[[allow]]\nuid = 0\nproduce = [\"*\"]\n";

/// Both, with more lines in the cluster and in the profile, and whatever else.
inline std::string file_with(const std::string& in_cluster, const std::string& in_profile,
                             const std::string& rest = allow_root) {
  return cluster_main + in_cluster + profile_default + in_profile + rest;
}

inline std::string all_errors(const LoadResult& result) {
  std::string text;
  if (!result.ok()) {
    for (const Problem& problem : result.error()) {
      text += to_text(problem) + "\n";
    }
  }
  return text;
}

inline std::string errors_of(const std::string& text) {
  return all_errors(load_text(text, "kfastd.toml", "."));
}

inline std::string warnings_of(const std::string& text) {
  std::string warnings;
  const auto result = load_text(text, "kfastd.toml", ".");
  EXPECT_TRUE(result.ok()) << all_errors(result);
  if (result.ok()) {
    for (const Problem& problem : result->warnings) {
      warnings += to_text(problem) + "\n";
    }
  }
  return warnings;
}

inline ::testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "no '" << part << "' in:\n" << text;
}

/// A directory that goes away with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kfast-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      std::abort();
    }
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  /// Writes a file that only its owner can read.
  [[nodiscard]] std::string write(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = path_ / name;
    std::ofstream(file) << content;
    std::filesystem::permissions(
        file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return file.string();
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace kfast::daemon::config
