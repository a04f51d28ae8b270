#pragma once
// What the media tests share: the test data, a folder of their own, clips made by the ffmpeg program, and reading a
// source to its end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "gantry/core/errors.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/source_factory.hpp"
#include "support/ffmpeg.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::media::testing {

namespace fs = std::filesystem;

inline fs::path test_data() {
  const char* named = std::getenv("GANTRY_TEST_DATA");
  return named != nullptr && *named != '\0' ? named : GANTRY_TEST_DATA_DEFAULT;
}

#define GANTRY_NEEDS(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << (path) << " (set GANTRY_TEST_DATA)"

using gantry::test::ffmpeg;
using gantry::test::TemporaryFolder;

/// Runs a command and returns what it printed.
inline std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[4096];
  for (std::size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  pclose(pipe);
  return text;
}

inline std::vector<std::uint8_t> bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void write(const fs::path& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

struct Reading {
  std::vector<Duration> pts;
  std::uint64_t packets = 0;
  std::uint64_t lost = 0, skipped = 0, unwanted = 0;
  Error end;  ///< with which the source stopped
  DecoderStats stats;
};

/// Reads and decodes until the source stops.
inline Reading read_all(Source& source, Decoder& decoder, const std::function<void(const Frame&)>& look = {},
                        const std::function<Need(const Packet&)>& need = {}) {
  Reading reading;
  const auto drain = [&] {
    Frame frame;
    for (DecodeEvent event; (event = decoder.receive(frame)) != DecodeEvent::kNeedPacket;) {
      if (event == DecodeEvent::kFrame) {
        reading.pts.push_back(frame.pts);
        if (look) look(frame);
      }
      reading.lost += event == DecodeEvent::kLost;
      reading.skipped += event == DecodeEvent::kSkipped;
      reading.unwanted += event == DecodeEvent::kUnwanted;
    }
  };
  bool open = false;
  for (;;) {
    Result<Packet> packet = source.next();
    if (!packet) {
      reading.end = packet.error();
      break;
    }
    if (packet->stream_changed) {
      if (open) {
        decoder.finish();
        drain();
      }
      const Result<void> opened = decoder.open(source.stream());
      EXPECT_TRUE(opened) << opened.error().message;
      if (!opened) break;
      open = true;
    }
    ++reading.packets;
    decoder.send(*packet, need ? need(*packet) : Need::kPicture);
    drain();
  }
  if (open) {
    decoder.finish();
    drain();
  }
  reading.stats = decoder.stats();
  return reading;
}

inline Reading read_all(const fs::path& path, const std::function<void(const Frame&)>& look = {}, int threads = 0) {
  SourceConfig config;
  config.url = path.string();
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder({threads});
  return read_all(*source, *decoder, look);
}

}  // namespace gantry::media::testing
