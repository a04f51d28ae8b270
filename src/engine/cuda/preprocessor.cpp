#include "gantry/engine/cuda/preprocessor.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "engine/cuda/device.hpp"
#include "engine/cuda/kernels/letterbox.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/vision/color.hpp"
#include "gantry/vision/letterbox.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::cuda {

namespace {

struct PlaneShape {
  std::size_t row_bytes = 0, rows = 0;
};

std::array<PlaneShape, 3> plane_shapes(const Image& image) {
  const auto w = static_cast<std::size_t>(image.width), h = static_cast<std::size_t>(image.height);
  const std::size_t half_w = (w + 1) / 2, half_h = (h + 1) / 2;
  switch (image.format) {
    case PixelFormat::kNv12:
      return {{{w, h}, {half_w * 2, half_h}, {}}};
    case PixelFormat::kI420:
      return {{{w, h}, {half_w, half_h}, {half_w, half_h}}};
    case PixelFormat::kBgr24:
    case PixelFormat::kRgb24:
      return {{{w * 3, h}, {}, {}}};
  }
  return {};
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace

struct CudaPreprocessor::State {
  int device = 0, max_pictures = 0;
  LaunchShape shape;
  LetterboxArgs args;
  PinnedBuffer staging_host, totals_host;
  DeviceBuffer staging, totals;
  std::vector<vision::LetterboxGeometry> measured;  ///< of the last run's pictures, where it was asked to measure
  PreprocessStats stats;

  void reserve(std::size_t bytes) {
    if (bytes <= staging.bytes()) return;
    const std::size_t wanted = bytes + bytes / 4;  // so that slightly larger pictures do not come here again
    staging = DeviceBuffer(), staging = DeviceBuffer(wanted);
    staging_host = PinnedBuffer(wanted);
    stats.staging_bytes = wanted;
  }
};

CudaPreprocessor::CudaPreprocessor(int device, int max_pictures) : state_(std::make_unique<State>()) {
  GANTRY_EXPECTS(max_pictures >= 1, "a preprocessor needs room for a picture");
  const DeviceInfo info = describe_device(device);
  state_->device = device, state_->max_pictures = max_pictures;
  state_->shape.multiprocessors = info.multiprocessors;
  const std::size_t bytes = static_cast<std::size_t>(max_pictures) * sizeof(vision::QualityTotals);
  state_->totals_host = PinnedBuffer(bytes), state_->totals = DeviceBuffer(bytes);
  state_->measured.reserve(static_cast<std::size_t>(max_pictures));
}

CudaPreprocessor::~CudaPreprocessor() = default;

PreprocessStats CudaPreprocessor::stats() const noexcept {
  return state_->stats;
}

vision::LetterboxQuality CudaPreprocessor::quality(std::size_t picture) const {
  GANTRY_EXPECTS(picture < state_->measured.size(), "the last run did not measure that picture");
  return vision::letterbox_quality(state_->totals_host.as<vision::QualityTotals>()[picture], state_->measured[picture]);
}

Result<void> CudaPreprocessor::run(std::span<const Image* const> pictures, engine::InputShape shape, void* out,
                                   void* stream, Measure measure) {
  GANTRY_EXPECTS(shape.width % 2 == 0, "the letterbox kernel writes pairs of pixels");
  State& s = *state_;
  if (pictures.empty() || pictures.size() > static_cast<std::size_t>(s.max_pictures))
    return fail(ErrorCode::kInvalid, std::to_string(pictures.size()) + " pictures in a preprocessor for up to " +
                                         std::to_string(s.max_pictures));
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  try {
    check(cudaSetDevice(s.device), "cudaSetDevice");  // of the calling thread
    std::size_t bytes = 0;
    for (const Image* image : pictures)
      if (image->space != MemorySpace::kDevice)
        for (const PlaneShape& plane : plane_shapes(*image)) bytes += aligned(plane.row_bytes * plane.rows);
    s.reserve(bytes);
    const bool measures = measure == Measure::kQuality;
    s.measured.clear();
    if (measures)
      check(cudaMemsetAsync(s.totals.data(), 0, pictures.size() * sizeof(vision::QualityTotals), cuda_stream),
            "quality sums");
    s.args.width = shape.width, s.args.height = shape.height, s.args.n = 0;
    std::size_t at = 0, run_start = 0;
    const auto flush = [&] {  // plain pictures that follow each other go up in one copy
      if (at > run_start)
        check(cudaMemcpyAsync(s.staging.data() + run_start, s.staging_host.as<std::byte>() + run_start, at - run_start,
                              cudaMemcpyHostToDevice, cuda_stream),
              "frame upload");
      s.stats.uploaded_bytes += at - run_start;
      run_start = at;
    };
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const Image& image = *pictures[i];
      if (image.space == MemorySpace::kDevice && image.device != s.device)
        return fail(ErrorCode::kInvalid, "a picture lies on GPU " + std::to_string(image.device) +
                                             ", this engine runs on GPU " + std::to_string(s.device));
      LetterboxPicture& p = s.args.pictures[s.args.n++];
      p = LetterboxPicture();
      const auto planes = plane_shapes(image);
      for (std::size_t k = 0; k < 3; ++k) {
        const auto [row_bytes, rows] = planes[k];
        if (rows == 0) continue;
        const Plane& plane = image.planes[k];
        if (image.space == MemorySpace::kDevice) {
          p.planes[k] = plane.data, p.strides[k] = static_cast<std::int32_t>(plane.stride_bytes);
          continue;
        }
        p.planes[k] = reinterpret_cast<const std::uint8_t*>(s.staging.data() + at);
        p.strides[k] = static_cast<std::int32_t>(row_bytes);
        if (image.space == MemorySpace::kPinned) {
          flush();
          check(cudaMemcpy2DAsync(s.staging.data() + at, row_bytes, plane.data,
                                  static_cast<std::size_t>(plane.stride_bytes), row_bytes, rows, cudaMemcpyHostToDevice,
                                  cuda_stream),
                "frame upload");
          s.stats.uploaded_bytes += row_bytes * rows;
          at += aligned(row_bytes * rows);
          run_start = at;
          continue;
        }
        std::byte* const target = s.staging_host.as<std::byte>() + at;
        if (plane.stride_bytes == static_cast<std::ptrdiff_t>(row_bytes)) {
          std::memcpy(target, plane.data, row_bytes * rows);
        } else {
          for (std::size_t r = 0; r < rows; ++r)
            std::memcpy(target + r * row_bytes, plane.data + static_cast<std::ptrdiff_t>(r) * plane.stride_bytes,
                        row_bytes);
        }
        s.stats.copied_bytes += row_bytes * rows;
        at += aligned(row_bytes * rows);
      }
      const vision::LetterboxGeometry g =
          vision::letterbox_geometry(image.width, image.height, shape.width, shape.height);
      const vision::YuvFactors f = vision::yuv_factors(image.matrix, image.range);
      p.width = image.width, p.height = image.height, p.format = static_cast<int>(image.format);
      p.inner_width = g.inner_width, p.inner_height = g.inner_height, p.left = g.left, p.top = g.top;
      p.scale_x = 1.0 / (static_cast<double>(g.inner_width) / image.width);
      p.scale_y = 1.0 / (static_cast<double>(g.inner_height) / image.height);
      p.half = halves(p) ? 1 : 0;
      p.y_offset = f.y_offset, p.y = f.y, p.v_to_r = f.v_to_r, p.u_to_g = f.u_to_g, p.v_to_g = f.v_to_g,
      p.u_to_b = f.u_to_b;
      if (measures) s.measured.push_back(g);
      if (s.args.n < kMaxLetterboxPictures && i + 1 < pictures.size()) continue;
      flush();
      const std::size_t first = i + 1 - static_cast<std::size_t>(s.args.n);
      s.args.out = static_cast<__half*>(out) + first * shape.width * shape.height * 4;
      s.args.quality = measures ? s.totals.as<vision::QualityTotals>() + first : nullptr;
      check(launch_letterbox(s.args, s.shape, cuda_stream), "letterbox");
      ++s.stats.launches;
      s.args.n = 0;
    }
    if (measures)
      check(cudaMemcpyAsync(s.totals_host.as<void>(), s.totals.data(), pictures.size() * sizeof(vision::QualityTotals),
                            cudaMemcpyDeviceToHost, cuda_stream),
            "quality sums");
  } catch (const DeviceError& error) {
    return fail(ErrorCode::kDevice, error.what());
  }
  s.stats.pictures += pictures.size();
  return {};
}

}  // namespace gantry::cuda
