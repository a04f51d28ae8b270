#pragma once
// The Open Inference Protocol's /v2: what the model is, and pictures in, boxes out, through the scheduler that serves
// the cameras. Thread-safe.
//
// Threads: bodies are read and pictures decoded on a few workers; answers are written on whatever thread ends the last
// picture of a request.
#include <atomic>
#include <memory>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/media/picture_decoder.hpp"
#include "gantry/server/http.hpp"
#include "server/worker.hpp"

namespace gantry::server {

class Inference {
 public:
  /// Both outlive it; requests that outlive it are answered.
  Inference(app::System& system, const Clock& clock);
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  [[nodiscard]] Response server_metadata(const std::string& version) const;
  [[nodiscard]] Response model_metadata() const;
  /// The one model is called so?
  [[nodiscard]] bool knows(const std::string& model) const { return system_.model().name == model; }
  void infer(Request& request, const Responder& respond);

 private:
  struct Bench;  // a worker and its decoder
  struct Load;   // of requests under way
  class Job;
  void work(Bench& bench, const std::shared_ptr<Job>& job);

  app::System& system_;
  const Clock& clock_;
  const std::shared_ptr<Load> load_;
  std::atomic<unsigned> turn_{0};
  std::vector<std::unique_ptr<Bench>> benches_;  // last: their tasks use all of the above
};

}  // namespace gantry::server
