#include "app/picture_desk.hpp"

#include <algorithm>

#include "gantry/core/expects.hpp"

namespace gantry::app {
namespace {

/// Pixels and options of one picture. A back end that hangs may hold a frame long after its answer was given, and reads
/// the options as long as it does: so both live as long as the frame.
class Held final : public Storage {
 public:
  Held(StorageRef pixels, engine::DetectOptions options) : pixels_(std::move(pixels)), options_(std::move(options)) {}
  [[nodiscard]] const engine::DetectOptions* options() const noexcept { return &options_; }

 private:
  ~Held() override = default;
  void recycle() noexcept override { delete this; }

  const StorageRef pixels_;
  const engine::DetectOptions options_;
};

}  // namespace

/// The camera exists while pictures wait or run: an idle one would count as a camera that is due, and after a while as
/// one that has gone without for so long that it is served first.
std::optional<std::uint64_t> PictureDesk::enter(PictureAnswerFn& done) {
  const std::lock_guard lock{mutex_};
  if (waiting_.size() >= System::kMostPictures) return std::nullopt;
  if (waiting_.empty()) {
    scheduler::CameraSpec spec;
    spec.id = kCamera;
    spec.slot_depth = System::kMostPictures;  // no picture takes another one's place
    dispatcher_.set_camera(spec);
  }
  waiting_.emplace(next_, std::move(done));
  return next_++;
}

PictureAnswerFn PictureDesk::leave(std::uint64_t seq) {
  const std::lock_guard lock{mutex_};
  const auto found = waiting_.find(seq);
  GANTRY_EXPECTS(found != waiting_.end(), "a picture ended twice");
  auto done = std::move(found->second);
  waiting_.erase(found);
  if (waiting_.empty()) dispatcher_.remove_camera(kCamera);
  return done;
}

void PictureDesk::submit(PictureRequest&& request, std::optional<scheduler::ShapeId> shape, PictureAnswerFn done) {
  ledger_.received();
  const auto refuse = [&](Outcome outcome) {
    ledger_.ended(outcome);
    PictureAnswer answer;
    answer.outcome = outcome;
    done(std::move(answer));
  };
  if (!shape) return refuse(Outcome::kEngineError);
  const auto seq = enter(done);
  if (!seq) return refuse(Outcome::kShed);
  auto* held = new Held(std::move(request.pixels), std::move(request.options));
  Frame frame;
  frame.camera = kCamera;
  frame.seq = *seq;
  frame.captured_at = request.received_at;
  frame.deadline = request.deadline;
  frame.priority = request.priority;
  frame.image = request.image;
  frame.pixels = StorageRef{held};
  dispatcher_.submit(std::move(frame), *shape, held->options());
}

void PictureDesk::ended(scheduler::FrameEnd& end) {
  PictureAnswer answer;
  answer.outcome = end.outcome;
  if (!is_drop(end.outcome)) {
    answer.detections.swap(end.detections);
    const auto& times = end.times;
    answer.latency = {{}, times.preprocess, times.inference, times.postprocess, end.ended_at - end.frame.captured_at};
    answer.latency.queue =
        std::max(Duration{}, answer.latency.total - times.preprocess - times.inference - times.postprocess);
  }
  const auto done = leave(end.frame.seq);
  ledger_.ended(end.outcome);
  done(std::move(answer));
}

}  // namespace gantry::app
