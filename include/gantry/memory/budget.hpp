#pragma once
// How much of a card Gantry may take. Pools, engines and decoders reserve here before they allocate, so that a card is
// never filled to the point where the driver refuses in the middle of work.
#include <cstdint>
#include <memory>
#include <mutex>

#include "gantry/core/result.hpp"

namespace gantry::memory {

struct BudgetStats {
  std::size_t limit_bytes = 0;
  std::size_t reserved_bytes = 0;
  std::size_t high_water_bytes = 0;
  std::uint64_t refused = 0;  ///< reservations that did not fit
};

/// Thread-safe. Reservations share it and may outlive the handle that made them.
class MemoryBudget {
 public:
  /// Gives its bytes back where it dies. Move-only.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Reservation& operator=(Reservation&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation();
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

   private:
    friend class MemoryBudget;
    struct Book;
    Reservation(std::shared_ptr<Book> budget, std::size_t bytes) : budget_(std::move(budget)), bytes_(bytes) {}
    std::shared_ptr<Book> budget_;
    std::size_t bytes_ = 0;
  };

  /// @param limit_bytes most that may be reserved at once
  explicit MemoryBudget(std::size_t limit_bytes);
  /// kExhausted where it does not fit.
  [[nodiscard]] Result<Reservation> reserve(std::size_t bytes) noexcept;
  [[nodiscard]] BudgetStats stats() const noexcept;

 private:
  std::shared_ptr<Reservation::Book> book_;
};

}  // namespace gantry::memory
