// The CPU engine beside OpenVINO alone, in one process: frames a second and whole-process CPU a frame.
// usage: engine_bench MODEL [--size 640x640] [--source 1280x720] [benchmark flags]
// `openvino` is the asynchronous loop of OpenVINO's own benchmark_app: its throughput hint, its number of requests, the
// same tensor again and again, no letterbox and no decode. `openvino_f32` is the same loop with the precision that the
// engine asks for: on processors with bfloat16 OpenVINO's default is to use it.
#include <benchmark/benchmark.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "engine/openvino/detector.hpp"
#include "gantry/engine/factory.hpp"

namespace gantry::engine {
namespace {

constexpr int kFramesARound = 32;

struct Arguments {
  std::string model;
  InputShape size{640, 640};
  int source_width = 1280, source_height = 720;
};

void raw_openvino(benchmark::State& state, const Arguments& arguments, bool float32) {
  ov::Core core;
  auto model = core.read_model(openvino::model_file(arguments.model));
  if (model->is_dynamic()) model->reshape({1, 3, arguments.size.height, arguments.size.width});
  ov::AnyMap options{ov::hint::performance_mode(ov::hint::PerformanceMode::THROUGHPUT)};
  if (float32) options.emplace(ov::hint::inference_precision(ov::element::f32));
  auto compiled = core.compile_model(model, "CPU", options);
  std::vector<ov::InferRequest> requests;
  for (unsigned i = 0; i < compiled.get_property(ov::optimal_number_of_infer_requests); ++i) {
    requests.push_back(compiled.create_infer_request());
    auto tensor = requests.back().get_input_tensor();
    std::fill_n(tensor.data<float>(), tensor.get_size(), 0.5F);
  }
  std::mutex mutex;
  std::condition_variable changed;
  int started = 0;
  int finished = 0;
  int target = 0;
  for (auto& request : requests) {
    request.set_callback([&](std::exception_ptr) {
      bool again = false;
      {
        const std::lock_guard lock(mutex);
        ++finished;
        again = started < target;
        if (again) ++started;
        if (finished == target) changed.notify_one();
      }
      if (again) request.start_async();
    });
  }
  const auto round = [&](int frames) {
    std::unique_lock lock(mutex);
    started = finished = 0;
    target = frames;
    std::vector<ov::InferRequest*> first;
    for (auto& request : requests) {
      if (started == target) break;
      ++started;
      first.push_back(&request);
    }
    lock.unlock();
    for (auto* request : first) request->start_async();
    lock.lock();
    changed.wait(lock, [&] { return finished == target; });
    lock.unlock();
    for (auto& request : requests) request.wait();
  };
  round(8);
  for (auto _ : state) round(kFramesARound);
  state.SetItemsProcessed(state.iterations() * kFramesARound);
}

void gantry_engine(benchmark::State& state, const Arguments& arguments) {
  ModelOptions options;
  options.path = arguments.model;
  options.device = Device::kCpu;
  const auto backend = make_backend(options);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(arguments.source_width) *
                                   static_cast<std::size_t>(arguments.source_height) * 2);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 7 / 64);
  Image image;
  image.width = arguments.source_width;
  image.height = arguments.source_height;
  image.planes[0] = {pixels.data(), image.width};
  image.planes[1] = {pixels.data() + static_cast<std::ptrdiff_t>(image.width) * image.height, image.width};
  const DetectOptions detect;
  std::mutex mutex;
  std::condition_variable changed;
  int finished = 0;
  const auto round = [&](int frames) {
    finished = 0;
    for (int i = 0; i < frames; ++i) {
      Batch batch;
      batch.shape = arguments.size;
      batch.entries.resize(1);
      batch.entries[0].frame.image = image;
      batch.entries[0].options = &detect;
      backend->enqueue(std::move(batch), [&](Batch&&, Result<void> status) {
        const std::lock_guard lock(mutex);
        if (!status) state.SkipWithError(status.error().message.c_str());
        if (++finished == frames) changed.notify_one();
      });
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return finished == frames; });
  };
  round(8);
  for (auto _ : state) round(kFramesARound);
  state.SetItemsProcessed(state.iterations() * kFramesARound);
}

bool parse_size(const char* text, int& width, int& height) {
  return std::sscanf(text, "%dx%d", &width, &height) == 2;
}

}  // namespace
}  // namespace gantry::engine

int main(int argc, char** argv) {
  using namespace gantry::engine;
  benchmark::Initialize(&argc, argv);
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--size") == 0 && i + 1 < argc &&
        parse_size(argv[i + 1], arguments.size.width, arguments.size.height)) {
      ++i;
    } else if (std::strcmp(argv[i], "--source") == 0 && i + 1 < argc &&
               parse_size(argv[i + 1], arguments.source_width, arguments.source_height)) {
      ++i;
    } else {
      arguments.model = argv[i];
    }
  }
  if (arguments.model.empty()) {
    std::fprintf(stderr, "usage: engine_bench MODEL [--size 640x640] [--source 1280x720]\n");
    return 2;
  }
  const auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(name, function)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  add("gantry", [&](benchmark::State& state) { gantry_engine(state, arguments); });
  add("openvino", [&](benchmark::State& state) { raw_openvino(state, arguments, false); });
  add("openvino_f32", [&](benchmark::State& state) { raw_openvino(state, arguments, true); });
  benchmark::RunSpecifiedBenchmarks();
}
