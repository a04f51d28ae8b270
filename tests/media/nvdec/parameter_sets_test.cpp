#include "media/nvdec/parameter_sets.hpp"

#include <gtest/gtest.h>

#include "media/nvdec/sharing.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using testing::bytes_of;
using testing::ffmpeg;
using testing::TemporaryFolder;

/// The parameter set of a second of test picture, coded like this.
std::optional<StreamTraits> traits_of(const std::string& options, NalCodec codec) {
  const TemporaryFolder folder;
  const auto path = folder / (codec == NalCodec::kH264 ? "clip.h264" : "clip.hevc");
  if (!ffmpeg("-f lavfi -i testsrc2=size=320x192:rate=10:duration=1 -pix_fmt yuv420p " + options + " " + path.string()))
    return std::nullopt;
  return inspect(bytes_of(path), codec).traits;
}

TEST(ParameterSets, H264AsCamerasSendIt) {
  const auto traits = traits_of("-c:v libx264 -bf 0 -refs 1", NalCodec::kH264);
  ASSERT_TRUE(traits);
  EXPECT_EQ(traits->width, 320);
  EXPECT_EQ(traits->height, 192);
  EXPECT_EQ(traits->references, 1);
  EXPECT_FALSE(traits->reordered);
  EXPECT_FALSE(traits->interlaced);
  EXPECT_EQ(traits->bit_depth, 8);
}

TEST(ParameterSets, H264WithMoreReferencesAndBPictures) {
  const auto traits = traits_of("-c:v libx264 -bf 2 -refs 3", NalCodec::kH264);
  ASSERT_TRUE(traits);
  EXPECT_GE(traits->references, 3);
  EXPECT_TRUE(traits->reordered);
}

TEST(ParameterSets, H264BaselineAndInterlaced) {
  const auto baseline = traits_of("-c:v libx264 -profile:v baseline -refs 2", NalCodec::kH264);
  ASSERT_TRUE(baseline);
  EXPECT_EQ(baseline->profile, 66);
  EXPECT_EQ(baseline->references, 2);
  EXPECT_FALSE(baseline->reordered);
  const auto interlaced = traits_of("-c:v libx264 -bf 0 -flags +ildct+ilme", NalCodec::kH264);
  ASSERT_TRUE(interlaced);
  EXPECT_TRUE(interlaced->interlaced);
  EXPECT_EQ(interlaced->height, 192);
}

TEST(ParameterSets, HevcAsCamerasSendItAndHarder) {
  const auto easy = traits_of("-c:v libx265 -x265-params log-level=none:bframes=0:ref=1", NalCodec::kHevc);
  ASSERT_TRUE(easy);
  EXPECT_EQ(easy->width, 320);
  EXPECT_EQ(easy->height, 192);
  EXPECT_LE(easy->references, 2);
  EXPECT_FALSE(easy->reordered);
  const auto hard = traits_of("-c:v libx265 -x265-params log-level=none:bframes=3:ref=3", NalCodec::kHevc);
  ASSERT_TRUE(hard);
  EXPECT_GE(hard->references, 3);
  EXPECT_TRUE(hard->reordered);
}

TEST(ParameterSets, DamageGivesNothingAndNeverAFault) {
  const TemporaryFolder folder;
  const auto path = folder / "clip.h264";
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=320x192:rate=10:duration=0.2 -pix_fmt yuv420p -c:v libx264 " + path.string()));
  const auto whole = bytes_of(path);
  for (std::size_t length = 0; length < std::min<std::size_t>(whole.size(), 200); ++length) {
    (void)inspect(std::span(whole).first(length), NalCodec::kH264);
    (void)inspect(std::span(whole).first(length), NalCodec::kHevc);
  }
  auto damaged = whole;
  for (std::size_t i = 5; i < 40; ++i) {
    damaged = whole;
    damaged[i] ^= 0xff;
    (void)inspect(damaged, NalCodec::kH264);
  }
  EXPECT_FALSE(parse_h264_sps(std::vector<std::uint8_t>{0x67, 0x64}));
  EXPECT_FALSE(parse_h264_sps(std::vector<std::uint8_t>(40, 0)));
  EXPECT_FALSE(parse_hevc_sps(std::vector<std::uint8_t>(40, 0)));
}

StreamTraits plain(int references, int width = 1280, int height = 720) {
  StreamTraits traits;
  traits.references = references;
  traits.reordered = false;
  traits.width = width;
  traits.height = height;
  return traits;
}

TEST(Sharing, WhatCamerasSendIsSharedByFour) {
  const StreamTraits traits = plain(1);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &traits, 4).cameras, 4);
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &traits, 4).cameras, 4);
  const StreamTraits large = plain(1, 1920, 1088);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &large, 4).cameras, 4);
}

TEST(Sharing, MoreReferencesLeaveRoomForFewer) {
  const StreamTraits two = plain(2);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &two, 5).cameras, 2);
  const StreamTraits four = plain(4);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &four, 7).cameras, 1);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &four, 7).reason, ShareReason::kReferences);
  StreamTraits three = plain(3);
  three.reordered = true;
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &three, 9).cameras, 3) << "36 surfaces are refused, 27 are not";
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &three, 17).cameras, 1);
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &three, 17).reason, ShareReason::kSurfaces);
  const StreamTraits many = plain(15);
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &many, 4).cameras, 1);
}

TEST(Sharing, TheListedReferencesAlwaysFit) {
  for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kHevc})
    for (int references = 0; references <= 16; ++references)
      for (const int height : {240, 720, 1080, 2160}) {
        const StreamTraits traits = plain(references, height * 16 / 9, height);
        const int cameras = plan_sharing(codec, &traits, 4).cameras;
        const int listed = std::max(1, references) + (cameras - 1) * live_references(codec, std::max(1, references));
        EXPECT_TRUE(cameras == 1 || listed <= reference_entries(codec, traits.width, traits.height));
        EXPECT_LE(cameras * 4, kMostSurfaces);
      }
}

TEST(Sharing, AnythingElseIsAlone) {
  StreamTraits traits = plain(1);
  EXPECT_EQ(plan_sharing(VideoCodec::kAv1, &traits, 4).reason, ShareReason::kCodec);
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, nullptr, 4).reason, ShareReason::kNoTraits);
  traits.reordered = true;
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &traits, 4).reason, ShareReason::kReordered);
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &traits, 4).cameras, 4);
  traits.interlaced = true;
  EXPECT_EQ(plan_sharing(VideoCodec::kH264, &traits, 4).reason, ShareReason::kInterlaced);
  traits.interlaced = false;
  traits.scalable = true;
  EXPECT_EQ(plan_sharing(VideoCodec::kHevc, &traits, 4).reason, ShareReason::kScalable);
}

}  // namespace
}  // namespace gantry::media
