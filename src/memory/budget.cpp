#include "gantry/memory/budget.hpp"

#include <algorithm>

namespace gantry::memory {

struct MemoryBudget::Reservation::Book {
  mutable std::mutex mutex;
  BudgetStats stats;
};

MemoryBudget::Reservation::~Reservation() {
  if (!budget_) return;
  const std::lock_guard lock(budget_->mutex);
  budget_->stats.reserved_bytes -= bytes_;
}

MemoryBudget::MemoryBudget(std::size_t limit_bytes) : book_(std::make_shared<Reservation::Book>()) {
  book_->stats.limit_bytes = limit_bytes;
}

Result<MemoryBudget::Reservation> MemoryBudget::reserve(std::size_t bytes) noexcept {
  const std::lock_guard lock(book_->mutex);
  BudgetStats& stats = book_->stats;
  if (bytes > stats.limit_bytes - stats.reserved_bytes) {
    ++stats.refused;
    return fail(ErrorCode::kExhausted, "budget used up");
  }
  stats.reserved_bytes += bytes;
  stats.high_water_bytes = std::max(stats.high_water_bytes, stats.reserved_bytes);
  return Reservation{book_, bytes};
}

BudgetStats MemoryBudget::stats() const noexcept {
  const std::lock_guard lock(book_->mutex);
  return book_->stats;
}

}  // namespace gantry::memory
