// Camera frames of different sizes and formats into a network's input on the GPU, in one launch, and through a
// detector. Usage: cuda_preprocessor yolo11n.onnx
#include <cstdio>
#include <exception>
#include <vector>

#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/cuda/preprocessor.hpp"
#include "gantry/vision/letterbox.hpp"

namespace {

/// A grey picture as a camera's decoder (NV12) or a file reader (BGR) would hand it over.
struct Picture {
  Picture(int width, int height, gantry::PixelFormat format) {
    const auto luma = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    const bool nv12 = format == gantry::PixelFormat::kNv12;
    bytes.resize(nv12 ? luma * 3 / 2 : luma * 3, 128);
    image.width = width, image.height = height, image.format = format;
    image.planes[0] = {bytes.data(), nv12 ? width : 3 * width};
    if (nv12) image.planes[1] = {bytes.data() + luma, width};
  }
  std::vector<std::uint8_t> bytes;
  gantry::Image image;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL.onnx\n", argv[0]);
    return 2;
  }
  const gantry::engine::InputShape shape{640, 384};
  const auto engine = gantry::InferenceEngine::load({.model = argv[1], .cache_folder = "tuned"});
  engine->prepare(shape, 4);
  gantry::CudaPreprocessor preprocessor(0, 4);

  const Picture junction(1280, 720, gantry::PixelFormat::kNv12), bridge(1920, 1080, gantry::PixelFormat::kNv12),
      still(640, 480, gantry::PixelFormat::kBgr24);
  const std::vector<const gantry::Image*> batch{&junction.image, &bridge.image, &still.image};

  // Upload, letterbox and network follow each other on the lane's stream; nothing waits until the end.
  const gantry::engine::DetectOptions options;
  const gantry::engine::DetectOptions* const for_all = &options;
  gantry::Result<void> status = preprocessor.run(batch, shape, engine->input(0), engine->stream(0));
  if (status) status = engine->run(0, shape, static_cast<int>(batch.size()), {&for_all, 1});
  if (status) status = engine->wait(0);
  if (!status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return 1;
  }
  gantry::Detections found;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    engine->results(0, static_cast<int>(i), found);
    const auto geometry =
        gantry::vision::letterbox_geometry(batch[i]->width, batch[i]->height, shape.width, shape.height);
    for (gantry::Detection& detection : found) detection.box = gantry::vision::to_source(geometry, detection.box);
    std::printf("picture %zu, %dx%d: %zu boxes\n", i, batch[i]->width, batch[i]->height, found.size());
  }
  const gantry::cuda::PreprocessStats stats = preprocessor.stats();
  std::printf("%llu pictures in %llu launches, %.1f MB uploaded, %.1f MB of staging\n",
              static_cast<unsigned long long>(stats.pictures), static_cast<unsigned long long>(stats.launches),
              static_cast<double>(stats.uploaded_bytes) / 1e6, static_cast<double>(stats.staging_bytes) / 1e6);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
