#pragma once
// Bits of a NAL unit's payload, emulation prevention bytes left out (H.264 7.3.1, HEVC 7.3.1.1). Past the end it reads
// zeros and says so in ok().
#include <cstdint>
#include <span>

namespace gantry::media {

class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> payload) : bytes_(payload) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }

  unsigned bit() noexcept {
    if (left_ == 0 && !next_byte()) return 0;
    return current_ >> --left_ & 1U;
  }
  /// @pre count <= 32
  std::uint32_t bits(int count) noexcept {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 1 | bit();
    return value;
  }
  void skip(int count) noexcept {
    for (int i = 0; i < count; ++i) bit();
  }
  /// Unsigned Exp-Golomb.
  std::uint32_t ue() noexcept {
    int zeros = 0;
    while (bit() == 0) {
      if (!ok_ || ++zeros > 31) {
        ok_ = false;
        return 0;
      }
    }
    return (std::uint32_t{1} << zeros) - 1 + bits(zeros);
  }
  /// Signed Exp-Golomb.
  std::int32_t se() noexcept {
    const std::uint32_t code = ue();
    const auto half = static_cast<std::int32_t>((code + 1) / 2);
    return code % 2 == 1 ? half : -half;
  }

 private:
  bool next_byte() noexcept {
    if (at_ < bytes_.size() && zeros_ >= 2 && bytes_[at_] == 3) {  // emulation prevention
      ++at_;
      zeros_ = 0;
    }
    if (at_ >= bytes_.size()) {
      ok_ = false;
      return false;
    }
    current_ = bytes_[at_++];
    zeros_ = current_ == 0 ? zeros_ + 1 : 0;
    left_ = 8;
    return true;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  unsigned current_ = 0;
  int left_ = 0;
  int zeros_ = 0;
  bool ok_ = true;
};

}  // namespace gantry::media
