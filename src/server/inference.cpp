#include "server/inference.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "gantry/app/class_filter.hpp"
#include "server/tensor_request.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;

constexpr const char* kVersion = "1";  // of the model; there is only ever one
constexpr Duration kDefaultTimeout = std::chrono::seconds{10};
constexpr std::size_t kMostRequests = 256;                 // under way
constexpr std::size_t kMostBytes = std::size_t{1} << 29U;  // of their bodies
static_assert(std::endian::native == std::endian::little, "tensors travel in little-endian order");

std::string text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Response later(int status, std::string_view title, std::string_view detail) {
  Response response = problem(status, title, detail);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

/// A dropped picture as the client hears of it.
Response dropped(Outcome outcome, std::size_t picture) {
  const std::string which = "picture " + std::to_string(picture) + ": " + to_string(outcome) + ": ";
  switch (outcome) {
    case Outcome::kExpired:
      return problem(504, "Gateway Timeout", which + "its timeout passed while it waited");
    case Outcome::kPredictedLate:
      return problem(504, "Gateway Timeout", which + "it could not have been answered within its timeout");
    case Outcome::kEngineError:
      return problem(500, "Internal Server Error", which + "the device failed on it; the server's log says why");
    case Outcome::kShutdown:
      return problem(503, "Service Unavailable", which + "the server is stopping");
    default:
      return later(503, "Service Unavailable", which + "more is asked for than the devices can do; try again");
  }
}

double ms(Duration duration) {
  return std::round(std::chrono::duration<double, std::milli>(duration).count() * 1e3) / 1e3;
}

template <typename T>
void append(T value, std::string& out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof bytes);
}

/// One output tensor of all pictures, padded to the picture with the most detections.
class TensorWriter {
 public:
  TensorWriter(const std::vector<app::PictureAnswer>& answers) : answers_(answers) {
    for (const auto& answer : answers) most_ = std::max(most_, answer.detections.size());
  }

  /// Appends to `binary` where it is binary, and describes the tensor.
  [[nodiscard]] Json write(TensorRequest::Output wanted, std::string& binary) const {
    Json shape = {answers_.size(), most_};
    if (wanted.tensor == OutputTensor::kNumDetections) shape[1] = 1;
    if (wanted.tensor == OutputTensor::kBoxes) shape.push_back(4);
    const bool floats = wanted.tensor == OutputTensor::kBoxes || wanted.tensor == OutputTensor::kScores;
    Json out = {{"name", kOutputNames[static_cast<std::size_t>(wanted.tensor)]},
                {"datatype", floats ? "FP32" : "INT32"},
                {"shape", std::move(shape)}};
    if (wanted.binary) {
      const auto before = binary.size();
      each(wanted.tensor, [&](auto value) { append(value, binary); });
      out["parameters"] = {{"binary_data_size", binary.size() - before}};
    } else {
      Json data = Json::array();
      each(wanted.tensor, [&](auto value) { data.push_back(value); });
      out["data"] = std::move(data);
    }
    return out;
  }

 private:
  template <typename Put>
  void each(OutputTensor tensor, Put put) const {
    static const Detection kPadding{{}, 0, -1};
    for (const auto& answer : answers_) {
      if (tensor == OutputTensor::kNumDetections) {
        put(static_cast<std::int32_t>(answer.detections.size()));
        continue;
      }
      for (std::size_t i = 0; i < most_; ++i) {
        const Detection& d = i < answer.detections.size() ? answer.detections[i] : kPadding;
        if (tensor == OutputTensor::kScores) put(d.confidence);
        if (tensor == OutputTensor::kClasses) put(d.class_id);
        if (tensor == OutputTensor::kBoxes)
          for (const float side : {d.box.x1, d.box.y1, d.box.x2, d.box.y2}) put(side);
      }
    }
  }

  const std::vector<app::PictureAnswer>& answers_;
  std::size_t most_ = 0;
};

}  // namespace

struct Inference::Load {
  std::atomic<std::size_t> requests{0}, bytes{0};
};

struct Inference::Bench {
  media::PictureDecoder decoder{kMostTensorPixels};
  Worker worker{kMostRequests};
};

/// One request from its body to its answer. Pictures end in any order on any thread; the last one answers.
class Inference::Job {
 public:
  Job(std::string body, std::string header_length, Responder respond, std::string model, TimePoint received,
      std::shared_ptr<Load> load)
      : received_at(received),
        body_(std::move(body)),
        header_length_(std::move(header_length)),
        respond_(std::move(respond)),
        model_(std::move(model)),
        load_(std::move(load)) {
    ++load_->requests;
    load_->bytes += body_.size();
  }
  ~Job() {
    --load_->requests;
    load_->bytes -= body_.size();
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  [[nodiscard]] Result<void> parse() {
    auto parsed = parse_tensor_request(body_, header_length_);
    if (!parsed) return Unexpected<Error>{parsed.error()};
    tensors_ = *std::move(parsed);
    answers_.resize(tensors_.pictures.size());
    return {};
  }
  [[nodiscard]] const TensorRequest& tensors() const noexcept { return tensors_; }

  void fail_with(Response response) {
    const std::lock_guard lock{mutex_};
    if (!failure_) failure_ = std::move(response);
  }
  void begin() {
    const std::lock_guard lock{mutex_};
    ++left_;
  }
  void end(std::size_t picture, app::PictureAnswer&& answer) {
    {
      const std::lock_guard lock{mutex_};
      if (is_drop(answer.outcome) && !failure_) failure_ = dropped(answer.outcome, picture);
      answers_[picture] = std::move(answer);
    }
    finish();
  }
  /// Of one begin(), or of the reading.
  void finish() {
    {
      const std::lock_guard lock{mutex_};
      if (--left_ > 0) return;
    }
    respond_(failure_ ? std::move(*failure_) : answer());
  }

  const TimePoint received_at;

 private:
  [[nodiscard]] Response answer() const {
    const bool late = std::any_of(answers_.begin(), answers_.end(),
                                  [](const auto& one) { return one.outcome == Outcome::kPublishedLate; });
    Duration longest{}, queue{};
    for (const auto& one : answers_) {
      longest = std::max(longest, one.latency.total);
      queue = std::max(queue, one.latency.queue);
    }
    Json head = {{"model_name", model_},
                 {"model_version", kVersion},
                 {"parameters",
                  {{"outcome", to_string(late ? Outcome::kPublishedLate : Outcome::kPublished)},
                   {"latency_ms", ms(longest)},
                   {"queue_ms", ms(queue)}}},
                 {"outputs", Json::array()}};
    if (!tensors_.id.empty()) head["id"] = tensors_.id;
    const TensorWriter writer{answers_};
    std::string binary;
    bool any_binary = false;
    for (const auto& wanted : tensors_.outputs) {
      head["outputs"].push_back(writer.write(wanted, binary));
      any_binary = any_binary || wanted.binary;
    }
    Response response = server::json(200, text(head));
    if (any_binary) {
      response.content_type = "application/octet-stream";
      response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(response.body.size()));
      response.body += binary;
    }
    return response;
  }

  const std::string body_, header_length_;
  const Responder respond_;
  const std::string model_;
  const std::shared_ptr<Load> load_;
  TensorRequest tensors_;
  std::mutex mutex_;
  std::size_t left_ = 1;  // the reading counts as one
  std::vector<app::PictureAnswer> answers_;
  std::optional<Response> failure_;
};

namespace {

/// Keeps a request's body while a frame points into it.
template <typename Owner>
class OwnedBy final : public Storage {
 public:
  explicit OwnedBy(std::shared_ptr<Owner> owner) : owner_(std::move(owner)) {}

 private:
  ~OwnedBy() override = default;
  void recycle() noexcept override { delete this; }
  const std::shared_ptr<Owner> owner_;
};

engine::DetectOptions options_of(const TensorRequest& tensors, const config::CameraConfig& defaults,
                                 const std::vector<std::string>& class_names) {
  engine::DetectOptions options;
  options.confidence = static_cast<float>(tensors.confidence.value_or(defaults.confidence));
  options.iou = static_cast<float>(tensors.iou.value_or(defaults.iou));
  options.max_detections = tensors.max_detections.value_or(defaults.max_detections);
  options.agnostic = defaults.agnostic;
  options.classes = app::class_ids(defaults.classes, class_names, "defaults.classes");
  return options;
}

}  // namespace

Inference::Inference(app::System& system, const Clock& clock)
    : system_(system), clock_(clock), load_(std::make_shared<Load>()) {
  const unsigned count = std::clamp(std::thread::hardware_concurrency() / 2, 1U, 8U);
  for (unsigned i = 0; i < count; ++i) benches_.push_back(std::make_unique<Bench>());
}
Inference::~Inference() = default;

Response Inference::server_metadata(const std::string& version) const {
  return server::json(200, text({{"name", "gantry"},
                                 {"version", version},
                                 {"extensions", {"schedule_policy", "binary_tensor_data", "parameters"}}}));
}

Response Inference::model_metadata() const {
  const auto tensor = [](std::string_view name, const char* type, Json shape) {
    return Json{{"name", name}, {"datatype", type}, {"shape", std::move(shape)}};
  };
  return server::json(200,
                      text({{"name", system_.model().name},
                            {"versions", {kVersion}},
                            {"platform", "gantry"},
                            {"inputs", {tensor("image", "BYTES", {-1}), tensor("pixels", "UINT8", {-1, -1, -1, 3})}},
                            {"outputs",
                             {tensor(kOutputNames[0], "INT32", {-1, 1}), tensor(kOutputNames[1], "FP32", {-1, -1, 4}),
                              tensor(kOutputNames[2], "FP32", {-1, -1}), tensor(kOutputNames[3], "INT32", {-1, -1})}},
                            {"parameters", {{"class_names", system_.model().class_names}}}}));
}

void Inference::infer(Request& request, const Responder& respond) {
  if (!request.header("content-encoding").empty() && request.header("content-encoding") != "identity")
    return respond(problem(415, "Unsupported Media Type", "compressed bodies are not taken"));
  if (load_->requests >= kMostRequests || load_->bytes + request.body.size() > kMostBytes)
    return respond(later(503, "Service Unavailable", "too many requests are under way; try again"));
  const std::string length{request.header("inference-header-content-length")};
  const auto job =
      std::make_shared<Job>(std::move(request.body), length, respond, system_.model().name, clock_.now(), load_);
  Bench& bench = *benches_[turn_++ % benches_.size()];
  if (!bench.worker.post([this, &bench, job] { work(bench, job); }))
    respond(later(503, "Service Unavailable", "too many requests wait; try again"));
}

void Inference::work(Bench& bench, const std::shared_ptr<Job>& job) {
  if (const auto parsed = job->parse(); !parsed) {
    job->fail_with(problem(400, "Bad Request", parsed.error().message));
    return job->finish();
  }
  const TensorRequest& tensors = job->tensors();
  const auto options = options_of(tensors, system_.config().defaults, system_.model().class_names);
  std::int64_t pixels = 0;
  for (std::size_t i = 0; i < tensors.pictures.size(); ++i) {
    const auto& picture = tensors.pictures[i];
    app::PictureRequest request;
    if (picture.width > 0) {
      request.image.width = picture.width;
      request.image.height = picture.height;
      request.image.format = PixelFormat::kRgb24;
      request.image.planes[0] = {picture.bytes.data(), std::ptrdiff_t{picture.width} * 3};
      request.pixels = StorageRef{new OwnedBy<Job>{job}};
    } else {
      auto decoded = bench.decoder.decode(picture.bytes, "inputs[0], picture " + std::to_string(i));
      if (!decoded) {
        job->fail_with(problem(400, "Bad Request", decoded.error().message));
        break;
      }
      request.image = decoded->image;
      request.pixels = std::move(decoded->pixels);
    }
    pixels += std::int64_t{request.image.width} * request.image.height;
    if (pixels > 2 * kMostTensorPixels) {
      job->fail_with(problem(400, "Bad Request",
                             "the pictures of one request have at most " + std::to_string(2 * kMostTensorPixels) +
                                 " pixels; send several requests"));
      break;
    }
    request.priority = tensors.priority;
    request.received_at = job->received_at;
    request.deadline = job->received_at + tensors.timeout.value_or(kDefaultTimeout);
    request.options = options;
    job->begin();
    system_.infer(std::move(request), [job, i](app::PictureAnswer&& answer) { job->end(i, std::move(answer)); });
  }
  job->finish();
}

}  // namespace gantry::server
