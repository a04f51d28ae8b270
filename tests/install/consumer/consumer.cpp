// usage: consumer MODEL: runs one grey picture through the detector.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <future>
#include <gantry/app/system.hpp>
#include <gantry/engine/factory.hpp>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  std::promise<bool> answered;  // outlives the back end, whose thread fulfils it
  gantry::engine::ModelOptions options;
  options.path = argv[1];
  options.device = gantry::engine::Device::kCpu;
  const auto backend = gantry::engine::make_backend(options);

  const std::vector<std::uint8_t> grey(64 * 48 * 3, 114);
  const gantry::engine::DetectOptions detect;
  gantry::engine::Batch batch;
  batch.shape = backend->shape_for(64, 48);
  batch.entries.resize(1);
  auto& image = batch.entries[0].frame.image;
  image.width = 64;
  image.height = 48;
  image.format = gantry::PixelFormat::kRgb24;
  image.planes[0] = {grey.data(), 64 * 3};
  batch.entries[0].options = &detect;
  backend->enqueue(std::move(batch), [&](gantry::engine::Batch&&, gantry::Result<void> status) {
    answered.set_value(status.has_value());
  });
  if (!answered.get_future().get()) return 1;
  std::printf("%s: %zu classes\n", backend->model().name.c_str(), backend->model().class_names.size());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
