#pragma once
// What the autotuner found out, kept in a file: one line a choice. Knows no GPU, so that it is tested without one.
#include <map>
#include <optional>
#include <string>

namespace gantry::cuda {

/// All that a choice depends on besides its key. A file of another identity is ignored and written anew.
struct TuningIdentity {
  std::string device;      ///< the card's name
  int driver_version = 0;  ///< as CUDA counts
  std::string engine;      ///< tuning_engine_version()
  std::string model_hash;
};

/// Of the sources of kernels and planning: changes whenever they do, so that old choices are not trusted.
[[nodiscard]] std::string tuning_engine_version();

struct TuningChoice {
  std::string name;   ///< candidate or way
  double micros = 0;  ///< as measured, a launch
};

/// Not thread-safe.
class TuningCache {
 public:
  enum class Loaded {
    kRead,     ///< choices are there
    kMissing,  ///< no file yet
    kOther,    ///< of another card, driver, engine or model
    kCorrupt,  ///< not a file of ours, or cut short
  };

  explicit TuningCache(TuningIdentity identity) : identity_(std::move(identity)) {}

  /// Replaces the choices by the file's; leaves none where it is missing, another's or corrupt.
  Loaded load(const std::string& path);
  /// Writes a temporary file and renames it. False where that fails (a read-only folder): tuning then is for this run.
  [[nodiscard]] bool save(const std::string& path) const;

  [[nodiscard]] std::optional<TuningChoice> find(const std::string& key) const;
  void put(const std::string& key, TuningChoice choice) { choices_[key] = std::move(choice); }
  void forget(const std::string& key) { choices_.erase(key); }
  [[nodiscard]] std::size_t size() const noexcept { return choices_.size(); }

 private:
  [[nodiscard]] std::string header() const;
  TuningIdentity identity_;
  std::map<std::string, TuningChoice> choices_;
};

}  // namespace gantry::cuda
