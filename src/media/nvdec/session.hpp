#pragma once
// One CUvideodecoder and the cameras that decode on it.
//
// Each camera has a Seat: a range of the session's surfaces of its own, and a table from its parser's picture indices
// to them. The table is what lets a frame keep its surface, unmapped, after the parser has let go of the index: a new
// picture of that index gets another surface. Where a camera's frames hold all of its spare surfaces, the oldest that
// nobody has mapped yet is given up for the newest.
//
// Shared sessions: pictures of several cameras go through one decoder in one order, under the session's lock, and each
// lists the others' live references in its free entries (sharing.hpp says how many fit, and why).
//
// Owner: seats share their session; it is destroyed with its last seat. A picture on loan keeps its seat. Thread-safe.
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/image.hpp"
#include "gantry/core/storage.hpp"
#include "gantry/memory/budget.hpp"
#include "gantry/memory/gpu.hpp"
#include "media/nvdec/nvcuvid.hpp"
#include "media/nvdec/sharing.hpp"

namespace gantry::media {

/// Everything that streams of one session have in common.
struct SessionFormat {
  VideoCodec codec = VideoCodec::kH264;
  cudaVideoCodec native = cudaVideoCodec_H264;
  cudaVideoChromaFormat chroma = cudaVideoChromaFormat_420;
  int bit_depth = 8;
  int coded_width = 0, coded_height = 0;  ///< pixels
  int parser_surfaces = 0;                ///< indices that a parser of this stream cycles through
  int spare_surfaces = 0;                 ///< beside those, for frames that wait to be run
  int output_surfaces = 0;                ///< a camera: mapped at the same time
  int cameras = 1;
  [[nodiscard]] int surfaces() const noexcept { return parser_surfaces + spare_surfaces; }  ///< a camera
  /// Device memory of decode and output surfaces; what the driver takes beside them is not known.
  [[nodiscard]] std::size_t bytes() const noexcept;
  friend bool operator==(const SessionFormat&, const SessionFormat&) = default;
};

/// Of all decoders of a card, since start. Lock-free.
struct NvdecCounters {
  std::atomic<std::uint64_t> decoded{0};    ///< pictures that went to the card
  std::atomic<std::uint64_t> refused{0};    ///< pictures that it did not take
  std::atomic<std::uint64_t> mapped{0};     ///< pictures that somebody ran or read
  std::atomic<std::uint64_t> concealed{0};  ///< of those: with damage patched by the card
  std::atomic<std::uint64_t> map_failed{0};
  std::atomic<std::uint64_t> given_up{0};         ///< frames that lost their surface to a newer one
  std::atomic<std::uint64_t> no_output{0};        ///< frames that found every output surface of their camera mapped
  std::atomic<Duration::rep> in_decode_calls{0};  ///< time
  std::atomic<Duration::rep> in_map_calls{0};
  std::atomic<std::uint64_t> unlisted{0};  ///< foreign references that found no free entry: sharing is then unsafe
};

class Session;
class Seat;

/// Where pictures are shown: the visible part of the coded picture and its colours.
struct Presentation {
  int left = 0, top = 0, width = 0, height = 0;  ///< pixels; left and top even
  ColorMatrix matrix = ColorMatrix::kBt601;
  ColorRange range = ColorRange::kLimited;
  friend bool operator==(const Presentation&, const Presentation&) = default;
};

/// A decoded picture on loan; its pixels are fetched by map().
class NvdecPicture final : public Storage {
 public:
  Result<void> map(Image& image, void* stream) override;
  Result<void> download(std::uint8_t* nv12) override;

 private:
  friend class Seat;
  void recycle() noexcept override;

  enum class State { kDecoded, kMapping, kMapped, kGivenUp, kFailed };
  std::shared_ptr<Seat> seat_;  ///< while on loan
  State state_ = State::kDecoded;
  int surface_ = -1;  ///< of the seat's, while kDecoded or kMapping
  std::uint64_t order_ = 0;
  TimePoint sent_at_{};  ///< to the card
  Presentation presentation_;
  unsigned long long memory_ = 0;  ///< of the mapped picture
  unsigned pitch_ = 0;
};

class Session {
 public:
  /// @throws nothing; `error` says why the handle is null
  static std::shared_ptr<Session> open(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> cuvid,
                                       std::shared_ptr<NvdecCounters> counters, const SessionFormat& format,
                                       memory::MemoryBudget::Reservation memory, CUresult& error);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const SessionFormat& format() const noexcept { return format_; }
  [[nodiscard]] int free_seats() const;
  [[nodiscard]] int seats_taken() const { return format_.cameras - free_seats(); }
  /// Null where every seat is taken.
  static std::shared_ptr<Seat> take_seat(const std::shared_ptr<Session>& session);

 private:
  friend class Seat;
  friend class NvdecPicture;
  Session(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> cuvid, std::shared_ptr<NvdecCounters> counters,
          const SessionFormat& format, memory::MemoryBudget::Reservation memory)
      : gpu_(std::move(gpu)),
        cuvid_(std::move(cuvid)),
        counters_(std::move(counters)),
        format_(format),
        memory_(std::move(memory)),
        seats_(static_cast<std::size_t>(format.cameras)) {}

  const std::shared_ptr<memory::Gpu> gpu_;
  const std::shared_ptr<Nvcuvid> cuvid_;
  const std::shared_ptr<NvdecCounters> counters_;
  const SessionFormat format_;
  memory::MemoryBudget::Reservation memory_;
  CUvideodecoder decoder_ = nullptr;
  mutable std::mutex mutex_;  ///< seats, their tables, and the order of pictures
  std::mutex map_mutex_;      ///< one map at a time; it may wait for the card
  std::vector<Seat*> seats_;  ///< null: free
};

class Seat : public std::enable_shared_from_this<Seat> {
 public:
  Seat(std::shared_ptr<Session> session, int number);
  ~Seat();
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  /// Sends a parser's picture to the card, its indices translated. False where the card does not take it.
  bool decode(CUVIDPICPARAMS& picture);
  /// The picture decoded last at that parser index, on loan. Empty where there is none.
  [[nodiscard]] StorageRef lend(int parser_index, const Presentation& presentation);
  [[nodiscard]] std::uint32_t trace_row() const noexcept { return trace_row_; }
  [[nodiscard]] const SessionFormat& format() const noexcept { return session_->format(); }
  /// Pictures fetched with damage patched by the card.
  [[nodiscard]] std::uint64_t concealed() const noexcept { return concealed_.load(std::memory_order_relaxed); }

 private:
  friend class NvdecPicture;
  friend class Session;

  [[nodiscard]] int first_surface() const noexcept { return number_ * format().surfaces(); }
  [[nodiscard]] int place(int parser_index);
  [[nodiscard]] bool place_grainless(const CUVIDPICPARAMS& picture);
  [[nodiscard]] bool give_up_oldest();
  void list_foreign_references(CUVIDPICPARAMS& picture);
  void remember_live(const CUVIDPICPARAMS& picture);
  [[nodiscard]] bool translate(CUVIDPICPARAMS& picture);

  const std::shared_ptr<Session> session_;
  const int number_;
  std::atomic<std::uint64_t> concealed_{0};
  // What follows is under the session's lock.
  static inline std::atomic<std::uint32_t> next_trace_row_{0};
  const std::uint32_t trace_row_ = next_trace_row_.fetch_add(1);
  std::vector<int> table_;    ///< parser index to surface, -1: none
  std::vector<int> holders_;  ///< of each surface: the table and the pictures that are not mapped yet
  std::vector<int> live_;     ///< surfaces that the camera's next picture may refer to, as the session counts
  std::vector<std::unique_ptr<NvdecPicture>> pictures_;
  std::vector<NvdecPicture*> free_pictures_;
  std::uint64_t order_ = 0;
  int mapped_ = 0;
};

}  // namespace gantry::media
