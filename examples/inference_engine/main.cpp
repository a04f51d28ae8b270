// An ONNX detector on the GPU without the server around it: a blocking batch, an asynchronous one, and where the time
// goes. Usage: inference_engine yolo11n.onnx
#include <cstdio>
#include <exception>
#include <future>
#include <vector>

#include "gantry/engine/cuda/inference_engine.hpp"

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL.onnx\n", argv[0]);
    return 2;
  }
  constexpr int kBatch = 8;
  const gantry::engine::InputShape shape{640, 384};
  const auto engine = gantry::InferenceEngine::load({.model = argv[1], .cache_folder = "tuned"});
  engine->prepare(shape, kBatch);  // some seconds the first time; the plan file in ./tuned makes the next start short
  std::printf("%s on %s\n", engine->model().name.c_str(), engine->device_name().c_str());

  // The simple way: planes of red, green and blue in 0…1, one picture behind the other.
  const std::size_t picture = std::size_t{3} * 640 * 384;
  const std::vector<float> pictures(kBatch * picture, 0.5F);
  const auto boxes = engine->infer_batch(shape, pictures, {.confidence = 0.4F});
  std::printf("%zu boxes in the first of %zu pictures\n", boxes[0].size(), boxes.size());

  // The way of a server: pictures lie in the lane's input on the card already (CudaPreprocessor puts them there), and
  // the answer comes on a thread of the driver.
  const gantry::engine::DetectOptions options;
  const gantry::engine::DetectOptions* const for_all = &options;
  std::promise<gantry::Result<void>> answered;
  engine->enqueue(0, shape, kBatch, {&for_all, 1},
                  [&](gantry::Result<void> status) { answered.set_value(std::move(status)); });
  if (const auto status = answered.get_future().get(); !status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return 1;
  }
  gantry::Detections found;
  for (int image = 0; image < kBatch; ++image) engine->results(0, image, found);

  const auto report = engine->benchmark(shape, kBatch);
  std::printf("batch %d: %.3f ms, %.0f pictures/s, %d kernels, arena %.1f MB of %.1f MB\n", report.batch,
              report.milliseconds, report.batch / report.milliseconds * 1e3, report.kernels,
              static_cast<double>(report.arena_bytes) / 1e6, static_cast<double>(report.unshared_bytes) / 1e6);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
