#include "engine/map_frames.hpp"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

/// A picture that is fetched, or gone.
class Surface final : public Storage {
 public:
  explicit Surface(std::optional<ErrorCode> gone = {}) : gone_(gone) {}
  Result<void> map(Image& image, void* stream) override {
    stream_ = stream;
    if (gone_) return fail(*gone_, "gone");
    image.planes[0] = {&byte_, 1};
    return {};
  }
  [[nodiscard]] void* stream() const { return stream_; }

 private:
  void recycle() noexcept override {}
  std::optional<ErrorCode> gone_;
  std::uint8_t byte_ = 0;
  void* stream_ = nullptr;
};

Batch batch_of(std::initializer_list<Surface*> surfaces) {
  Batch batch;
  for (Surface* surface : surfaces) {
    batch.entries.emplace_back();
    if (surface != nullptr) batch.entries.back().frame.pixels = StorageRef(surface);
  }
  return batch;
}

TEST(MapFrames, FetchesEveryPictureOnTheStream) {
  Surface one, two;
  Batch batch = batch_of({&one, &two, nullptr});
  int stream = 0;
  std::vector<const Image*> images;
  EXPECT_EQ(map_frames(batch, 0, &stream, images), 3);
  ASSERT_EQ(images.size(), 3);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(images[i], &batch.entries[i].frame.image);
    EXPECT_FALSE(batch.entries[i].drop);
  }
  EXPECT_NE(images[0]->planes[0].data, nullptr);
  EXPECT_EQ(one.stream(), &stream);
}

TEST(MapFrames, AFrameWithoutItsPictureIsDroppedAndItsNeighbourStandsIn) {
  Surface superseded(ErrorCode::kExhausted), whole, corrupt(ErrorCode::kCorrupt);
  Batch batch = batch_of({&superseded, &whole, &corrupt});
  std::vector<const Image*> images;
  EXPECT_EQ(map_frames(batch, 0, nullptr, images), 1);
  EXPECT_EQ(batch.entries[0].drop, Outcome::kSuperseded);
  EXPECT_EQ(batch.entries[1].drop, std::nullopt);
  EXPECT_EQ(batch.entries[2].drop, Outcome::kDecodeError);
  for (const Image* image : images) EXPECT_EQ(image, &batch.entries[1].frame.image);
}

TEST(MapFrames, AFrameOfAnotherCardIsDroppedUntouched) {
  Surface here, there;
  Batch batch = batch_of({&here, &there});
  batch.entries[0].frame.image.space = batch.entries[1].frame.image.space = MemorySpace::kDevice;
  batch.entries[0].frame.image.device = 1;
  batch.entries[1].frame.image.device = 0;
  int stream = 0;
  std::vector<const Image*> images;
  EXPECT_EQ(map_frames(batch, 1, &stream, images), 1);
  EXPECT_EQ(batch.entries[0].drop, std::nullopt);
  EXPECT_EQ(batch.entries[1].drop, Outcome::kEngineError);
  EXPECT_EQ(there.stream(), nullptr);
}

TEST(MapFrames, SaysWhereNothingIsLeftToRun) {
  Surface gone(ErrorCode::kExhausted);
  Batch batch = batch_of({&gone});
  std::vector<const Image*> images;
  EXPECT_EQ(map_frames(batch, 0, nullptr, images), 0);
}

}  // namespace
}  // namespace gantry::engine
