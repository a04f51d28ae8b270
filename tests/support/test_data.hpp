#pragma once
// Where the test data lies: GANTRY_TEST_DATA, else the folder that CMake was configured with.
#include <cstdlib>
#include <filesystem>

namespace gantry::test {

inline std::filesystem::path data_root() {
  const char* named = std::getenv("GANTRY_TEST_DATA");
  return named != nullptr && *named != '\0' ? named : GANTRY_TEST_DATA_DEFAULT;
}

/// A file or folder of the test data.
inline std::filesystem::path test_data(const std::filesystem::path& below) {
  return data_root() / below;
}

}  // namespace gantry::test

/// Skips the test, saying why, where a file or folder of the test data is not there.
#define GANTRY_NEEDS_DATA(below)                                  \
  if (!std::filesystem::exists(::gantry::test::test_data(below))) \
  GTEST_SKIP() << "no test data at " << ::gantry::test::test_data(below) << ": set GANTRY_TEST_DATA to have it"
