// Tunes a model for this machine's GPU, as `gantry optimize` does, and runs the result.
// Usage: optimize yolo11n.onnx FOLDER
#include <cstdio>
#include <exception>

#include "gantry/engine/factory.hpp"
#include "gantry/optimize/optimize.hpp"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL.onnx FOLDER\n", argv[0]);
    return 2;
  }
  const auto report =
      gantry::optimize({.model = argv[1],
                        .out = argv[2],
                        .max_batch = 16,
                        .shapes = {{640, 384}},
                        .progress = [](const std::string& step) { std::printf("%s\n", step.c_str()); }});
  for (const auto& profile : report.profiles)
    std::printf("%dx%d, batch %d: %.3f ms, %.0f pictures/s\n", profile.shape.width, profile.shape.height, profile.batch,
                profile.network_ms, profile.images_per_second);

  // Anybody who opens the model in that folder finds its plan beside it.
  gantry::engine::ModelOptions options;
  options.path = report.model;
  options.device = gantry::engine::Device::kCuda;
  const auto backend = gantry::engine::make_backend(options);
  backend->prepare({640, 384}, 16);
  std::printf("ready on %s with %s\n", backend->capabilities().device.c_str(), report.plan_file.c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
