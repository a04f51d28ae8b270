// Pictures out of RTP's pieces: whole ones at once where the stream can be trusted, late ones where not, never half
// ones twice.
#include "media/picture_assembler.hpp"

#include <gtest/gtest.h>

namespace gantry::media {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::uint8_t kSlice = 0x41, kKeySlice = 0x65, kParameters = 0x67;

/// A NAL unit of `size` bytes behind a start code, and the pieces in which it comes through packets of 1,000 bytes.
std::vector<Bytes> unit(std::uint8_t header, std::size_t size, std::size_t fragment = 1000) {
  std::vector<Bytes> pieces;
  Bytes piece{0, 0, 0, 1, header};
  for (std::size_t left = size - 1; left > 0;) {
    const std::size_t part = std::min(left, fragment);
    piece.insert(piece.end(), part, 0xAA);
    left -= part;
    pieces.push_back(std::move(piece));
    piece.clear();
  }
  return pieces;
}

/// Feeds pictures like RtpPictures does and keeps what comes out, with the number of pieces after which it came.
class Reader {
 public:
  explicit Reader(bool hevc = false) : assembler(hevc) {}

  void feed(const std::vector<Bytes>& pieces) {
    time += 3000;
    for (const Bytes& piece : pieces) feed_one(piece);
  }
  void feed_one(const Bytes& piece) {
    if (!assembler.continues(time)) keep();
    if (assembler.add(piece, time)) keep();
  }
  void keep() {
    const auto bytes = assembler.take();
    pictures.emplace_back(bytes.begin(), bytes.end());
    times.push_back(assembler.timestamp());
  }
  /// True where the newest picture fed has already come out.
  bool is_prompt() const { return !times.empty() && times.back() == time; }

  PictureAssembler assembler;
  std::int64_t time = 0;
  std::vector<Bytes> pictures;
  std::vector<std::int64_t> times;
};

Bytes joined(const std::vector<Bytes>& pieces) {
  Bytes all;
  for (const Bytes& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  return all;
}

std::vector<Bytes> together(std::vector<Bytes> a, const std::vector<Bytes>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A key picture with its parameter sets every 10th, of sizes that vary.
std::vector<Bytes> camera_picture(int i) {
  if (i % 10 == 0) return together(unit(kParameters, 20), unit(kKeySlice, 5300 + i));
  return unit(kSlice, i % 3 == 0 ? 300 + i : 2100 + 7 * i);
}

TEST(PictureAssembler, TrustsAStreamOnceItsEndsWereSeenRight) {
  Reader reader;
  std::vector<Bytes> sent;
  for (int i = 0; i < 100; ++i) {
    sent.push_back(joined(camera_picture(i)));
    reader.feed(camera_picture(i));
    // The first picture teaches the number of slices and the largest piece.
    EXPECT_EQ(reader.is_prompt(), i > PictureAssembler::kTrustAfter) << i;
  }
  EXPECT_EQ(reader.pictures, sent);
}

TEST(PictureAssembler, CountsSlices) {
  Reader reader;
  const auto two_slices = together(unit(kSlice, 2500), unit(kSlice, 1700));
  std::vector<Bytes> sent;
  for (int i = 0; i < 60; ++i) {
    sent.push_back(joined(i % 10 == 0 ? together(unit(kKeySlice, 4300), unit(kKeySlice, 1200)) : two_slices));
    reader.feed(i % 10 == 0 ? together(unit(kKeySlice, 4300), unit(kKeySlice, 1200)) : two_slices);
    EXPECT_EQ(reader.is_prompt(), i > PictureAssembler::kTrustAfter) << i;
  }
  EXPECT_EQ(reader.pictures, sent);
}

TEST(PictureAssembler, NeverTrustsRaggedFragments) {
  Reader reader;
  std::vector<Bytes> sent;
  for (int i = 0; i < 100; ++i) {
    auto pieces = unit(kSlice, 3600);
    std::swap(pieces[1], pieces[3]);  // the short one is not the last
    pieces[1].insert(pieces[1].end(), {1, 2, 3});
    sent.push_back(joined(pieces));
    reader.feed(pieces);
    EXPECT_FALSE(reader.is_prompt()) << i;
  }
  reader.feed(unit(kSlice, 100));
  EXPECT_EQ(reader.pictures, sent) << "late, and whole";
}

TEST(PictureAssembler, AnEndThatCannotBeSeenIsOnlyLate) {
  Reader reader;
  for (int i = 0; i < 50; ++i) reader.feed(camera_picture(i));
  ASSERT_TRUE(reader.is_prompt());
  reader.feed(unit(kSlice, 3001));  // the last fragment is as long as the others
  EXPECT_FALSE(reader.is_prompt());
  reader.feed(camera_picture(1));
  EXPECT_TRUE(reader.is_prompt());
  EXPECT_EQ(reader.pictures[50], joined(unit(kSlice, 3001)));
}

TEST(PictureAssembler, AMistakeCostsOnePictureAndASecondOneTheTrust) {
  Reader reader;
  for (int i = 0; i < 50; ++i) reader.feed(camera_picture(i));
  ASSERT_TRUE(reader.is_prompt());
  const auto two_slices = together(unit(kSlice, 2500), unit(kSlice, 1700));
  for (int mistake = 0; mistake < 2; ++mistake) {
    const std::size_t before = reader.pictures.size();
    reader.feed(two_slices);  // looks whole behind the first slice
    EXPECT_EQ(reader.pictures.size(), before + 1);
    EXPECT_EQ(reader.pictures.back(), joined(unit(kSlice, 2500)));
    EXPECT_FALSE(reader.assembler.trusted());
    for (int i = 1; i < 80; ++i) reader.feed(camera_picture(i));
    EXPECT_EQ(reader.pictures[before + 1], joined(unit(kSlice, 1700))) << "the rest comes by itself";
    EXPECT_EQ(reader.assembler.trusted(), mistake == 0);
  }
}

TEST(PictureAssembler, HevcHeadersHaveTwoBytes) {
  Reader reader{true};
  const auto slice = [](std::size_t size) {
    auto pieces = unit(0x02, size, 1001);  // type 1; the first fragment carries the second header byte
    return pieces;
  };
  for (int i = 0; i < 60; ++i) {
    reader.feed(slice(2600 + 3 * i));
    EXPECT_EQ(reader.is_prompt(), i > PictureAssembler::kTrustAfter) << i;
  }
}

TEST(PictureAssembler, NothingIsTakenTwice) {
  PictureAssembler assembler{false};
  EXPECT_TRUE(assembler.take().empty());
  EXPECT_FALSE(assembler.add(unit(kSlice, 50)[0], 0));
  EXPECT_FALSE(assembler.take().empty());
  EXPECT_TRUE(assembler.take().empty());
}

}  // namespace
}  // namespace gantry::media
