#pragma once
// Clips and pictures for tests, made by the ffmpeg program.
#include <cstdlib>
#include <string>

namespace gantry::test {

/// Runs it with these arguments; true where it worked. Its complaints go to the test's output.
inline bool ffmpeg(const std::string& arguments) {
  const std::string command = "ffmpeg -hide_banner -loglevel error -nostdin -y " + arguments;
  return std::system(command.c_str()) == 0;
}

}  // namespace gantry::test
