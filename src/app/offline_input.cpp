#include "app/offline_input.hpp"

#include <thread>

namespace gantry::app {

OfflineInputRun::OfflineInputRun(std::size_t index, OfflineInput input, Shared shared)
    : index_(index), input_(std::move(input)), shared_(shared), ring_(shared.feeder.frames_ahead()) {}

void OfflineInputRun::open() {
  if (const auto opened = input_.source->open(); !opened) {
    note(opened.error());
    usable_ = false;
  } else {
    opened_as_ = stream();
    opened_as_.native = nullptr;  // the source's, and the source goes on
    promised_frames_ = opened_as_.frames;
  }
}

void OfflineInputRun::prepare() {
  const auto& info = stream();
  if (info.width > 0 && info.height > 0) shared_.feeder.prepare(shared_.backend.shape_for(info.width, info.height));
}

void OfflineInputRun::run() {
  std::exception_ptr thrown;
  std::thread writer{[this, &thrown] {
    try {
      write();
    } catch (...) {
      thrown = std::current_exception();
      input_.source->cancel();
      broken_ = true;
      write();  // counts what is still on its way
    }
  }};
  std::exception_ptr read_thrown;
  try {
    read();
  } catch (...) {
    read_thrown = std::current_exception();
  }
  {
    const std::lock_guard lock{mutex_};
    reading_ = false;
  }
  changed_.notify_all();
  writer.join();
  if (thrown) std::rethrow_exception(thrown);
  if (read_thrown) std::rethrow_exception(read_thrown);
}

void OfflineInputRun::read() {
  const auto decoder = shared_.options.make_decoder();
  bool decoding = false;
  while (!enough()) {
    auto packet = input_.source->next();
    if (!packet) {
      const auto& error = packet.error();
      if (error.code == ErrorCode::kEndOfStream || error.code == ErrorCode::kCancelled) break;
      note(error);
      if (!input_.pictures) break;
      // A folder goes on with its next picture; the one that can't be read is a frame that came and went.
      ledger_.received();
      ledger_.ended(Outcome::kDecodeError);
      continue;
    }
    if (packet->stream_changed) {
      if (decoding) {
        decoder->finish();
        if (!take_decoded(*decoder)) return;
      }
      if (const auto opened = decoder->open(stream()); !opened) {
        note(opened.error());
        return;
      }
      decoding = true;
    }
    picture_name_ = packet->name;
    decoder->send(*packet);
    if (!take_decoded(*decoder)) return;
  }
  if (!decoding) return;
  decoder->finish();
  (void)take_decoded(*decoder);
}

bool OfflineInputRun::take_decoded(media::Decoder& decoder) {
  Frame frame;
  while (true) {
    switch (decoder.receive(frame)) {
      case media::DecodeEvent::kFrame:
        if (!take_frame(std::move(frame))) return false;
        frame = Frame{};
        break;
      case media::DecodeEvent::kLost:
        ledger_.received();
        ledger_.ended(Outcome::kDecodeError);
        break;
      case media::DecodeEvent::kUnwanted:
      case media::DecodeEvent::kSkipped:
        ledger_.received();
        ledger_.ended(Outcome::kDecodeSkipped);
        break;
      case media::DecodeEvent::kNeedPacket:
        return true;
    }
  }
}

bool OfflineInputRun::enough() const noexcept {
  return shared_.options.max_frames != 0 && taken_ >= shared_.options.max_frames;
}

bool OfflineInputRun::take_frame(Frame&& frame) {
  if (enough()) return false;
  const auto shape = shared_.backend.shape_for(frame.image.width, frame.image.height);
  shared_.feeder.prepare(shape);
  {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return taken_ - handed_out_ < ring_.size(); });
    auto& slot = ring_[taken_ % ring_.size()];
    slot.result.camera = picture_name_.empty() ? input_.name : picture_name_;
    slot.result.camera_number = static_cast<CameraId>(index_);
    slot.result.seq = picture_name_.empty() ? taken_ : 0;
    frame.camera = static_cast<CameraId>(index_);
    frame.seq = taken_++;
    frame.deadline = TimePoint::max();
  }
  ledger_.received();
  shared_.feeder.submit(std::move(frame), shape);
  return true;
}

void OfflineInputRun::answer(engine::BatchEntry& entry, const engine::StageTimes& times, const Error* error) {
  const auto now = shared_.clock.now();
  {
    const std::lock_guard lock{mutex_};
    auto& slot = ring_[entry.frame.seq % ring_.size()];
    auto& result = slot.result;
    slot.failed = error != nullptr;
    if (error != nullptr) {
      if (!error_) error_ = *error;
      ++errors_;
    }
    result.pts = entry.frame.pts;
    result.width = entry.frame.image.width;
    result.height = entry.frame.image.height;
    result.detections.swap(entry.detections);
    result.latency = {{}, times.preprocess, times.inference, times.postprocess, now - entry.frame.captured_at};
    result.latency.queue =
        std::max(Duration{}, result.latency.total - times.preprocess - times.inference - times.postprocess);
    slot.frame = std::move(entry.frame);
    if (!shared_.options.keep_pixels) slot.frame.pixels.reset();
    slot.ready = true;
  }
  changed_.notify_all();
}

void OfflineInputRun::write() {
  if (!broken_) shared_.output.opened(index_, opened_as_);
  hand_out_all();
  if (!broken_) shared_.output.closed(index_);
}

void OfflineInputRun::hand_out_all() {
  std::unique_lock lock{mutex_};
  while (true) {
    auto& slot = ring_[handed_out_ % ring_.size()];
    changed_.wait(lock, [&] { return slot.ready || (!reading_ && handed_out_ == taken_); });
    if (!slot.ready) return;
    lock.unlock();
    hand_out(slot);
    lock.lock();
    slot.ready = false;
    ++handed_out_;
    changed_.notify_all();
  }
}

void OfflineInputRun::hand_out(Slot& slot) {
  if (slot.failed || broken_) {
    ledger_.ended(slot.failed ? Outcome::kEngineError : Outcome::kShutdown);
  } else {
    shared_.output.frame(index_, slot.result, slot.frame);
    shared_.latency.add(slot.result.latency);
    ledger_.ended(Outcome::kPublished);
  }
  slot.frame.pixels.reset();
}

void OfflineInputRun::note(const Error& error) {
  const std::lock_guard lock{mutex_};
  if (!error_) error_ = error;
  ++errors_;
}

InputReport OfflineInputRun::report() const {
  const std::lock_guard lock{mutex_};
  return {input_.name, input_.url, ledger_.read(), error_, errors_};
}

}  // namespace gantry::app
