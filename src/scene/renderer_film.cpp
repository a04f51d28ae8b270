// From the samples to the picture: shares of every pixel, what of each body is seen, rain and the sensor's noise.
#include <algorithm>
#include <cstring>

#include "scene/renderer.hpp"

namespace gantry::scene {

void Renderer::resolve(const Nv12& out) {
  for (int y = 0; y < height_; ++y) {
    std::memcpy(out.y + y * out.stride,
                still_y_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_),
                static_cast<std::size_t>(width_));
  }
  for (int y = 0; y < height_ / 2; ++y) {
    std::memcpy(out.uv + y * out.stride,
                still_uv_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_),
                static_cast<std::size_t>(width_));
  }
  const std::uint32_t* planes[kSamples];
  for (int s = 0; s < kSamples; ++s) planes[s] = target_.planes[static_cast<std::size_t>(s)].colour.data();
  const bool pools = light_.night > 0;
  for (int ty = 0; ty < tiles_y_; ++ty) {
    for (int tx = 0; tx < tiles_x_; ++tx) {
      if (dirty_[static_cast<std::size_t>(ty * tiles_x_ + tx)] == 0) continue;
      for (int y = ty * kTileH; y < std::min(height_, (ty + 1) * kTileH); y += 2) {
        for (int x = tx * kTileW; x < std::min(width_, (tx + 1) * kTileW); x += 2) {
          int sum_u = 0;
          int sum_v = 0;
          bool any = false;
          for (int k = 0; k < 4; ++k) {
            const int px = x + k % 2;
            const int py = y + k / 2;
            const std::size_t i =
                static_cast<std::size_t>(py) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(px);
            const std::uint32_t still = backdrop_.pixels[i];
            const std::uint32_t c0 = planes[0][i], c1 = planes[1][i], c2 = planes[2][i], c3 = planes[3][i];
            const std::uint8_t shade = target_.shadow[i];
            int by = static_cast<int>(still & 255), bu = static_cast<int>(still >> 8 & 255),
                bv = static_cast<int>(still >> 16 & 255);
            if ((c0 | c1 | c2 | c3 | shade | (pools ? pools_[i] : 0U)) == 0) {
              sum_u += bu;
              sum_v += bv;
              continue;
            }
            any = true;
            const auto share = static_cast<int>(still >> 24);
            if (share != 0 && shade != 0) {
              // Light is taken from linear radiance; in the picture's curve a share s of light is about s^(1/2.2),
              // here by its second-order fit 1 - 0.55 t - 0.25 t^2.
              constexpr int kCount[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
              const int sun = kCount[shade & 15] * share;           // of 4 * 255
              const int sky = kCount[shade >> 4] * 150;             // of 4 * 255
              const int taken = sun + sky - sun * sky / (4 * 255);  // of 4 * 255
              const int t = taken * 256 / (4 * 255);
              const int keep = 256 - (141 * t >> 8) - (64 * t * t >> 16);
              by = 16 + ((by - 16) * keep >> 8);
              bu = 128 + ((bu - 128) * keep >> 8);
              bv = 128 + ((bv - 128) * keep >> 8);
            }
            if (pools && share != 0) {
              const int add = pools_[i];
              by = std::min(235, by + add);
              bu = std::max(16, bu - add / 8);
            }
            int oy = 0, ou = 0, ov = 0, own = 0;
            for (int s = 0; s < kSamples; ++s) {
              const std::uint32_t c = planes[s][i];
              if (c >> 24 == 0) {
                oy += by;
                ou += bu;
                ov += bv;
                continue;
              }
              oy += static_cast<int>(c & 255);
              ou += static_cast<int>(c >> 8 & 255);
              ov += static_cast<int>(c >> 16 & 255);
              const auto owner = static_cast<int>(c >> 24);
              if (owner == kLampOwner) continue;
              Drawn& d = drawn_[static_cast<std::size_t>(owner - 1)];
              if (s == 0) ++d.seen0;
              // A pixel belongs to whom half of its samples show; it is counted when the second of them comes.
              own = 1;
              for (int e = 0; e < s; ++e) own += planes[e][i] >> 24 == static_cast<std::uint32_t>(owner) ? 1 : 0;
              if (own != 2) continue;
              if (d.visible_px++ == 0) {
                d.x0 = px;
                d.y0 = py;
                d.x1 = px + 1;
                d.y1 = py + 1;
              } else {
                d.x0 = std::min(d.x0, px);
                d.y0 = std::min(d.y0, py);
                d.x1 = std::max(d.x1, px + 1);
                d.y1 = std::max(d.y1, py + 1);
              }
            }
            out.y[py * out.stride + px] = static_cast<std::uint8_t>((oy + 2) >> 2);
            sum_u += (ou + 2) >> 2;
            sum_v += (ov + 2) >> 2;
          }
          if (any) {
            out.uv[(y / 2) * out.stride + x] = static_cast<std::uint8_t>((sum_u + 2) >> 2);
            out.uv[(y / 2) * out.stride + x + 1] = static_cast<std::uint8_t>((sum_v + 2) >> 2);
          }
        }
      }
    }
  }
}

void Renderer::rain(const Nv12& out, std::uint64_t index) {
  Rng rng(mix64(index) ^ 0x5261696EULL);
  const int drops = static_cast<int>(light_.rain * static_cast<float>(width_ * height_) / 2600);
  for (int i = 0; i < drops; ++i) {
    float x = static_cast<float>(rng.uniform()) * static_cast<float>(width_);
    const int y0 = static_cast<int>(rng.uniform() * height_);
    const double near = rng.uniform();
    const int length = static_cast<int>((0.012 + 0.05 * near * near) * height_) + 2;
    const float slant = 0.10F + 0.05F * static_cast<float>(rng.uniform());
    const int weight = static_cast<int>(10 + 34 * near);
    for (int y = y0; y < std::min(height_, y0 + length); ++y, x -= slant) {
      const int px = static_cast<int>(x);
      if (px < 0) break;
      std::uint8_t& luma = out.y[y * out.stride + px];
      const int bright = std::min(200, luma + 60);
      luma = static_cast<std::uint8_t>(luma + ((bright - luma) * weight >> 8));
    }
  }
}

void Renderer::noise(const Nv12& out, std::uint64_t index) {
  const std::size_t mask = noise_.size() - 1;
  for (int y = 0; y < height_ * 3 / 2; ++y) {
    const std::uint64_t h = mix64(index * 8192 + static_cast<std::uint64_t>(y));
    std::uint8_t* row = y < height_ ? out.y + y * out.stride : out.uv + (y - height_) * out.stride;
    std::size_t at = h & mask;
    for (int x = 0; x < width_;) {
      const int n = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(width_ - x), noise_.size() - at));
      const std::int8_t* grain = noise_.data() + at;
      for (int k = 0; k < n; ++k) {
        const int v = row[x + k] + grain[k];
        row[x + k] = static_cast<std::uint8_t>(v < 16 ? 16 : v > 240 ? 240 : v);
      }
      x += n;
      at = 0;
    }
  }
}

}  // namespace gantry::scene
