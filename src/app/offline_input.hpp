#pragma once
// One input of an OfflineJob: reads and decodes on one thread, puts answers back into the order of frames and hands
// them out on another. At most `ahead` frames are between the two.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "app/batch_feeder.hpp"
#include "gantry/app/offline.hpp"

namespace gantry::app {

class OfflineInputRun {
 public:
  /// Everything given outlives the run.
  struct Shared {
    engine::Backend& backend;
    BatchFeeder& feeder;
    const OfflineOptions& options;
    const Clock& clock;
    OfflineOutput& output;
    StageHistograms& latency;
  };

  OfflineInputRun(std::size_t index, OfflineInput input, Shared shared);

  /// Opens the source, so that what can't be used is known before anything runs.
  void open();
  /// Gets the network ready for the pictures that the stream promises. @throws ModelError
  void prepare();
  /// Reads to the end; returns when everything read has been handed out. @throws what the output threw
  void run();
  void stop() noexcept { input_.source->cancel(); }
  /// On a thread of the back end.
  void answer(engine::BatchEntry& entry, const engine::StageTimes& times, const Error* error);

  [[nodiscard]] InputReport report() const;
  [[nodiscard]] FrameCounts counts() const noexcept { return ledger_.read(); }
  [[nodiscard]] bool usable() const noexcept { return usable_; }
  /// As the container says; 0 where it does not. Thread-safe once open() has returned.
  [[nodiscard]] std::int64_t promised_frames() const noexcept { return promised_frames_; }
  /// @pre usable()
  [[nodiscard]] const media::StreamInfo& stream() const noexcept { return input_.source->stream(); }

 private:
  struct Slot {
    bool ready = false;
    bool failed = false;
    Frame frame;
    sinks::FrameResult result;
  };
  void read();
  /// False: no more frames are wanted.
  [[nodiscard]] bool take_decoded(media::Decoder& decoder);
  [[nodiscard]] bool take_frame(Frame&& frame);
  void write();
  void hand_out_all();
  void hand_out(Slot& slot);
  void note(const Error& error);
  [[nodiscard]] bool enough() const noexcept;

  const std::size_t index_;
  OfflineInput input_;
  Shared shared_;
  FrameLedger ledger_;
  bool usable_ = true;
  media::StreamInfo opened_as_;  // what the output is told; the source's own may change while it reads
  std::int64_t promised_frames_ = 0;
  std::string picture_name_;  // reader's: of the picture that the decoder works on; empty for video

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> ring_;        // frame number n lies in slot n modulo its size
  std::uint64_t taken_ = 0;       // frames handed to the network
  std::uint64_t handed_out_ = 0;  // frames through the output
  bool reading_ = true;
  bool broken_ = false;  // the output has thrown: frames are only counted from here on
  std::optional<Error> error_;
  std::uint64_t errors_ = 0;
};

}  // namespace gantry::app
