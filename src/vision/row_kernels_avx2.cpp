// Compiled with -mavx2 where the compiler targets x86-64. Only intrinsics and internal functions in here: an inline
// function of the standard library compiled in this file could be the copy that the linker keeps for everybody.
#include "vision/row_kernels.hpp"

#if defined(__AVX2__)
#include <immintrin.h>

namespace gantry::vision {
namespace {

struct Words {
  __m256i r, g, b;
};

Words yuv_words(__m256i y, __m256i u_to_g_and_v_to_g, __m256i u_to_b, __m256i v_to_r, __m256i y_offset,
                __m256i y_factor) {
  y = _mm256_mulhi_epi16(_mm256_sub_epi16(_mm256_slli_epi16(y, 3), y_offset), y_factor);
  const __m256i zero = _mm256_setzero_si256();
  const __m256i top = _mm256_set1_epi16(255);
  const auto clamp = [&](__m256i value) { return _mm256_min_epi16(_mm256_max_epi16(value, zero), top); };
  return {clamp(_mm256_add_epi16(y, v_to_r)), clamp(_mm256_add_epi16(y, u_to_g_and_v_to_g)),
          clamp(_mm256_add_epi16(y, u_to_b))};
}

void yuv(const std::uint8_t* y_row, ChromaRow chroma, int width, const YuvFactors& f, std::uint8_t* r, std::uint8_t* g,
         std::uint8_t* b) {
  const __m256i low = _mm256_set1_epi16(0x00FF);
  const __m256i middle = _mm256_set1_epi16(128 * 8);
  const __m256i y_offset = _mm256_set1_epi16(f.y_offset);
  const __m256i y_factor = _mm256_set1_epi16(f.y);
  const __m256i v_to_r = _mm256_set1_epi16(f.v_to_r);
  const __m256i u_to_g = _mm256_set1_epi16(f.u_to_g);
  const __m256i v_to_g = _mm256_set1_epi16(f.v_to_g);
  const __m256i u_to_b = _mm256_set1_epi16(f.u_to_b);
  int x = 0;
  for (; x + 32 <= width; x += 32) {
    __m256i u;
    __m256i v;
    if (chroma.interleaved) {
      const __m256i uv = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(chroma.u + x));
      u = _mm256_and_si256(uv, low);
      v = _mm256_srli_epi16(uv, 8);
    } else {
      u = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(chroma.u + x / 2)));
      v = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(chroma.v + x / 2)));
    }
    u = _mm256_sub_epi16(_mm256_slli_epi16(u, 3), middle);
    v = _mm256_sub_epi16(_mm256_slli_epi16(v, 3), middle);
    const __m256i red = _mm256_mulhi_epi16(v, v_to_r);
    const __m256i green = _mm256_add_epi16(_mm256_mulhi_epi16(u, u_to_g), _mm256_mulhi_epi16(v, v_to_g));
    const __m256i blue = _mm256_mulhi_epi16(u, u_to_b);
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y_row + x));
    const Words even = yuv_words(_mm256_and_si256(y, low), green, blue, red, y_offset, y_factor);
    const Words odd = yuv_words(_mm256_srli_epi16(y, 8), green, blue, red, y_offset, y_factor);
    const auto store = [x](std::uint8_t* out, __m256i e, __m256i o) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), _mm256_or_si256(e, _mm256_slli_epi16(o, 8)));
    };
    store(r, even.r, odd.r);
    store(g, even.g, odd.g);
    store(b, even.b, odd.b);
  }
  if (x < width) {
    const int skip = chroma.interleaved ? x : x / 2;
    portable_kernels().yuv(y_row + x, {chroma.u + skip, chroma.v + skip, chroma.interleaved}, width - x, f, r + x,
                           g + x, b + x);
  }
}

/// Picks every third byte, starting at `channel`, out of 48.
__m128i every_third(__m128i a, __m128i b, __m128i c, const __m128i masks[3]) {
  return _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, masks[0]), _mm_shuffle_epi8(b, masks[1])),
                      _mm_shuffle_epi8(c, masks[2]));
}

void unpack(const std::uint8_t* packed, int width, std::uint8_t* c0, std::uint8_t* c1, std::uint8_t* c2) {
  const __m128i masks[3][3] = {{_mm_setr_epi8(0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13)},
                               {_mm_setr_epi8(1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14)},
                               {_mm_setr_epi8(2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1),
                                _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15)}};
  int x = 0;
  for (; x + 16 <= width; x += 16) {
    const auto* from = reinterpret_cast<const __m128i*>(packed + 3 * x);
    const __m128i a = _mm_loadu_si128(from);
    const __m128i b = _mm_loadu_si128(from + 1);
    const __m128i c = _mm_loadu_si128(from + 2);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(c0 + x), every_third(a, b, c, masks[0]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(c1 + x), every_third(a, b, c, masks[1]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(c2 + x), every_third(a, b, c, masks[2]));
  }
  if (x < width) portable_kernels().unpack(packed + 3 * x, width - x, c0 + x, c1 + x, c2 + x);
}

void across_halves(const std::uint8_t* row, int target, std::int16_t* out) {
  const __m256i weight = _mm256_set1_epi8(64);  // 1024 >> 4
  for (int x = 0; x < target; x += 16) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 2 * x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), _mm256_maddubs_epi16(pairs, weight));
  }
}

void across(const std::uint8_t* row, const ColumnPlan& plan, std::int16_t* out) {
  if (plan.halves) return across_halves(row, plan.target, out);
  if (!plan.grouped) return portable_kernels().across(row, plan, out);
  const std::int32_t* bases = plan.bases.data();
  const auto* shuffles = reinterpret_cast<const __m256i*>(plan.shuffles.data());
  const auto* weights = reinterpret_cast<const __m256i*>(plan.weights.data());
  for (int x = 0; x < plan.target; x += 16) {
    __m256i halves[2];
    for (__m256i& half : halves) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + bases[0]));
      const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + bases[1]));
      const __m256i samples = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), _mm256_loadu_si256(shuffles));
      half = _mm256_srai_epi32(_mm256_madd_epi16(samples, _mm256_loadu_si256(weights)), 4);
      bases += 2;
      ++shuffles;
      ++weights;
    }
    const __m256i packed = _mm256_packs_epi32(halves[0], halves[1]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), _mm256_permute4x64_epi64(packed, 0xD8));
  }
}

void down(const std::int16_t* first, const std::int16_t* second, std::int16_t weight_first, std::int16_t weight_second,
          int width, float* out) {
  const __m256i wa = _mm256_set1_epi16(weight_first);
  const __m256i wb = _mm256_set1_epi16(weight_second);
  const __m256i two = _mm256_set1_epi16(2);
  const __m256 full = _mm256_set1_ps(255.0F);
  int x = 0;
  for (; x + 16 <= width; x += 16) {
    const __m256i a = _mm256_mulhi_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(first + x)), wa);
    const __m256i b = _mm256_mulhi_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(second + x)), wb);
    const __m256i value = _mm256_srai_epi16(_mm256_add_epi16(_mm256_add_epi16(a, b), two), 2);
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(value));
    const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(value, 1));
    _mm256_storeu_ps(out + x, _mm256_div_ps(_mm256_cvtepi32_ps(low), full));
    _mm256_storeu_ps(out + x + 8, _mm256_div_ps(_mm256_cvtepi32_ps(high), full));
  }
  if (x < width) portable_kernels().down(first + x, second + x, weight_first, weight_second, width - x, out + x);
}

void widen(const std::uint8_t* row, int width, float* out) {
  const __m256 full = _mm256_set1_ps(255.0F);
  int x = 0;
  for (; x + 8 <= width; x += 8) {
    const __m256i value = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + x)));
    _mm256_storeu_ps(out + x, _mm256_div_ps(_mm256_cvtepi32_ps(value), full));
  }
  if (x < width) portable_kernels().widen(row + x, width - x, out + x);
}

}  // namespace

const RowKernels* avx2_kernels() noexcept {
  static constexpr RowKernels kernels{yuv, unpack, across, down, widen};
  return __builtin_cpu_supports("avx2") ? &kernels : nullptr;
}

}  // namespace gantry::vision

#else

namespace gantry::vision {
const RowKernels* avx2_kernels() noexcept {
  return nullptr;
}
}  // namespace gantry::vision

#endif
