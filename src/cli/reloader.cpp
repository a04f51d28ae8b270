#include "cli/reloader.hpp"

#include <filesystem>

#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

Reloader::Reloader(std::string file, app::System& system, Log& log, server::CameraState* changes_by_clients)
    : file_(std::move(file)), system_(system), log_(log), changes_by_clients_(changes_by_clients) {
  reading_.file = file_;
  reading_.at = std::chrono::system_clock::now();
}

Result<config::Changes> Reloader::reload() {
  const std::lock_guard turn{turn_};
  auto changes = take_over();
  {
    const std::lock_guard lock{mutex_};
    reading_.at = std::chrono::system_clock::now();
    reading_.good = static_cast<bool>(changes);
    reading_.reason = changes ? "" : changes.error().message;
    ++(changes ? reading_.taken : reading_.refused);
  }
  if (changes)
    tell(*changes);
  else
    log_.error("reload refused, the old configuration stays:\n" + changes.error().message);
  return changes;
}

Result<config::Changes> Reloader::take_over() {
  try {
    // A client's change between reading its file and taking it over would be undone.
    std::unique_lock<std::mutex> no_changes;
    if (changes_by_clients_ != nullptr) no_changes = changes_by_clients_->turn();
    auto next = config::load_file(file_);
    std::error_code ignored;
    if (std::filesystem::file_size(file_, ignored) == 0)
      return fail(ErrorCode::kInvalid, file_ +
                                           ": is empty, like a file that is just being written; `cameras: {}` in it "
                                           "would take every camera away");
    if (changes_by_clients_ != nullptr) next = changes_by_clients_->over(std::move(next));
    auto changes = system_.apply(next);
    log_.set_level(next.log.level);
    return changes;
  } catch (const StartupError& error) {
    return fail(ErrorCode::kInvalid, error.what());
  }
}

void Reloader::tell(const config::Changes& changes) {
  const auto say = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) log_.info(std::string{"reload: "} + what + " " + join(names));
  };
  say("added", changes.added);
  say("removed", changes.removed);
  say("adjusted", changes.adjusted);
  say("connecting anew", changes.reconnected);
  say("changed", changes.at_once);
  if (!changes.at_start.empty())
    log_.warning("reload: " + join(changes.at_start) + " will take effect at the next start");
  if (changes.empty()) log_.info("reload: nothing has changed");
}

server::ConfigReading Reloader::reading() const {
  const std::lock_guard lock{mutex_};
  return reading_;
}

}  // namespace gantry::cli
