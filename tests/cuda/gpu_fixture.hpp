#pragma once
// What the kernel tests share: device buffers between sentinels, seeded values, comparison with a plain reference.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda::test {

inline int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

inline void check(cudaError_t error, const char* what) {
  ASSERT_EQ(error, cudaSuccess) << what << ": " << cudaGetErrorString(error);
}

/// `small`: as if the card had one multiprocessor, so that blocks walk over many tiles.
inline LaunchShape launch_shape(bool small = false) {
  LaunchShape shape;
  cudaDeviceGetAttribute(&shape.multiprocessors, cudaDevAttrMultiProcessorCount, 0);
  if (small) shape.multiprocessors = 1;
  return shape;
}

/// $GANTRY_KERNEL_PIXELS leaves out cases of more pixels a batch: compute-sanitizer slows kernels down by a hundred
/// times.
inline bool too_large(int pixels) {
  static const char* const limit = std::getenv("GANTRY_KERNEL_PIXELS");
  return limit != nullptr && pixels > std::atoi(limit);
}

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device_count() == 0) GTEST_SKIP() << "no CUDA device on this machine";
  }
};

/// Device memory of `count` Ts, with a guard of 0xA5 bytes on both sides that verify() checks. Filled with 0xFF bytes
/// (NaN) so that an element nobody wrote is seen.
template <typename T>
class Guarded {
 public:
  explicit Guarded(std::size_t count) : count_(count) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes() + 2 * kGuard), "cudaMalloc");
    raw_ = static_cast<unsigned char*>(memory);
    cudaMemset(raw_, 0xA5, bytes() + 2 * kGuard);
    cudaMemset(raw_ + kGuard, 0xFF, bytes());
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
    cudaMemcpy(data(), values.data(), bytes(), cudaMemcpyHostToDevice);
  }
  ~Guarded() { cudaFree(raw_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(raw_ + kGuard); }
  [[nodiscard]] std::vector<T> download() const {
    std::vector<T> values(count_);
    check(cudaMemcpy(values.data(), data(), bytes(), cudaMemcpyDeviceToHost), "download");
    return values;
  }
  void verify(const char* name) const {
    std::vector<unsigned char> all(bytes() + 2 * kGuard);
    check(cudaMemcpy(all.data(), raw_, all.size(), cudaMemcpyDeviceToHost), "guard");
    for (std::size_t i = 0; i < kGuard; ++i) {
      ASSERT_EQ(all[i], 0xA5) << name << ": written " << kGuard - i << " bytes before its start";
      ASSERT_EQ(all[kGuard + bytes() + i], 0xA5) << name << ": written " << i << " bytes behind its end";
    }
  }

 private:
  static constexpr std::size_t kGuard = 4096;
  [[nodiscard]] std::size_t bytes() const { return count_ * sizeof(T); }
  std::size_t count_;
  unsigned char* raw_ = nullptr;
};

/// Seeded uniform values.
class Values {
 public:
  explicit Values(std::uint64_t seed) : engine_(seed) {}
  std::vector<float> floats(std::size_t count, float low, float high) {
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<float> values(count);
    for (float& v : values) v = uniform(engine_);
    return values;
  }
  std::vector<__half> halves(std::size_t count, float low, float high) {
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<__half> values(count);
    for (__half& v : values) v = __float2half(uniform(engine_));
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

inline float rounded(float value) {
  return __half2float(__float2half(value));
}

/// Runs body(i) for i in [0, count) on all cores.
inline void parallel_for(int count, const std::function<void(int)>& body) {
  const int workers = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      for (int i = w; i < count; i += workers) body(i);
    });
  for (std::thread& t : threads) t.join();
}

/// Weights of a reduction this long are drawn from ± this, so that sums stay near one.
inline float weight_range(int reduction) {
  return 1.7F / std::sqrt(static_cast<float>(reduction));
}

/// Bias padded with zeros to a multiple of `multiple`.
inline std::vector<float> padded_bias(const std::vector<float>& bias, int multiple) {
  std::vector<float> out = bias;
  out.resize((bias.size() + static_cast<std::size_t>(multiple) - 1) / static_cast<std::size_t>(multiple) *
                 static_cast<std::size_t>(multiple),
             0.0F);
  return out;
}

/// Compares halves [rows][pitch], `channels` from `first` on, with floats [rows][channels]; the rest must be untouched.
/// Reports the first difference and how many there are.
inline void expect_rows_near(const std::vector<__half>& got, int pitch, int first, int channels,
                             const std::vector<float>& want, double relative, double absolute,
                             const std::string& what) {
  const std::size_t rows = want.size() / static_cast<std::size_t>(channels);
  std::size_t wrong = 0, strays = 0;
  std::string where;
  double worst = 0;
  for (std::size_t r = 0; r < rows; ++r)
    for (int c = 0; c < pitch; ++c) {
      const __half value = got[r * static_cast<std::size_t>(pitch) + static_cast<std::size_t>(c)];
      if (c < first || c >= first + channels) {
        if (__half_raw(value).x != 0xFFFF) ++strays;
        continue;
      }
      const double g = __half2float(value),
                   w = want[r * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c - first)];
      const double error = std::fabs(g - w);
      if (!(error <= absolute + relative * std::fabs(w))) {
        if (wrong++ == 0)
          where = "row " + std::to_string(r) + " channel " + std::to_string(c - first) + ": got " + std::to_string(g) +
                  ", want " + std::to_string(w);
      }
      if (std::isfinite(error)) worst = std::max(worst, error);
    }
  EXPECT_EQ(wrong, 0U) << what << ": " << wrong << " of " << want.size() << " wrong, first at " << where
                       << "; largest error " << worst;
  EXPECT_EQ(strays, 0U) << what << ": wrote channels outside its view";
}

/// The plain convolution that every kernel is held to. Weights [cout][k][k][cin]; in [n][h][w][cin] floats.
struct ConvShape {
  int n, h, w, cin, cout, kernel, stride;
  [[nodiscard]] int oh() const { return (h + 2 * (kernel / 2) - kernel) / stride + 1; }
  [[nodiscard]] int ow() const { return (w + 2 * (kernel / 2) - kernel) / stride + 1; }
};

inline std::vector<float> conv_ref(const ConvShape& s, const std::vector<float>& in, const std::vector<float>& weights,
                                   const std::vector<float>& bias, bool silu, bool depthwise = false) {
  const int oh = s.oh(), ow = s.ow(), pad = s.kernel / 2;
  std::vector<float> out(static_cast<std::size_t>(s.n) * oh * ow * s.cout);
  parallel_for(s.n * oh, [&](int row) {
    const int image = row / oh, y = row % oh;
    for (int x = 0; x < ow; ++x)
      for (int o = 0; o < s.cout; ++o) {
        double sum = bias[static_cast<std::size_t>(o)];
        for (int r = 0; r < s.kernel; ++r)
          for (int q = 0; q < s.kernel; ++q) {
            const int py = y * s.stride - pad + r, px = x * s.stride - pad + q;
            if (py < 0 || py >= s.h || px < 0 || px >= s.w) continue;
            const float* pixel = in.data() + ((static_cast<std::size_t>(image) * s.h + py) * s.w + px) * s.cin;
            if (depthwise) {
              sum += pixel[o] * weights[static_cast<std::size_t>((o * s.kernel + r) * s.kernel + q)];
            } else {
              const float* w = weights.data() + (static_cast<std::size_t>(o * s.kernel + r) * s.kernel + q) * s.cin;
              float part = 0;
              for (int c = 0; c < s.cin; ++c) part += pixel[c] * w[c];
              sum += part;
            }
          }
        const float v = static_cast<float>(sum);
        out[(static_cast<std::size_t>(row) * ow + x) * s.cout + o] = silu ? v / (1.0F + std::exp(-v)) : v;
      }
  });
  return out;
}

/// Rounds every value to half and back, as a map in memory is.
inline std::vector<float> through_half(std::vector<float> values) {
  for (float& v : values) v = rounded(v);
  return values;
}

/// Lays [rows][channels] floats into halves [rows][pitch] at channel `first`; the rest is NaN.
inline std::vector<__half> lay_out(const std::vector<float>& values, int channels, int pitch, int first) {
  const std::size_t rows = values.size() / static_cast<std::size_t>(channels);
  const __half nan(__half_raw{0xFFFF});
  std::vector<__half> out(rows * static_cast<std::size_t>(pitch), nan);
  for (std::size_t r = 0; r < rows; ++r)
    for (int c = 0; c < channels; ++c)
      out[r * static_cast<std::size_t>(pitch) + static_cast<std::size_t>(first + c)] =
          __float2half(values[r * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)]);
  return out;
}

}  // namespace gantry::cuda::test
