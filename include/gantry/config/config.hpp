#pragma once
// What a configuration file says, as plain values. Every member's initialiser is the key's documented default; the
// table in src/config/schema.cpp gives each member its key, unit, range and sentence. No member is ever a reference to
// the file it came from, so a Config may be copied, compared and kept.
#include <map>
#include <string>
#include <vector>

#include "gantry/config/input_size.hpp"
#include "gantry/core/clock.hpp"
#include "gantry/core/priority.hpp"

namespace gantry::config {

enum class Transport { kTcp, kUdp };
enum class EngineDevice { kAuto, kCpu, kCuda };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// One camera: where its video comes from, what is wanted of it and by when.
struct CameraConfig {
  std::string source;  ///< URL, file or folder, with ${…} already replaced: may hold a password, never log it as it is
  bool enabled = true;
  double fps = 0;  ///< frames a second at most; 0: every frame
  Priority priority = Priority::kNormal;
  Duration deadline = std::chrono::milliseconds{200};  ///< after capture
  std::vector<std::string> classes;                    ///< names or numbers; empty: all
  double confidence = 0.25;
  double iou = 0.7;
  int max_detections = 300;
  bool agnostic = false;
  Transport transport = Transport::kTcp;
  bool loop = false;
  Duration connect_timeout = std::chrono::seconds{5};
  Duration read_timeout = std::chrono::seconds{5};
  Duration backoff_min = std::chrono::milliseconds{500};
  Duration backoff_max = std::chrono::seconds{30};
  Duration picture_check = std::chrono::seconds{1};  ///< between two looks at the picture's quality; 0: never
  bool from_client = false;  ///< no key: the source was given through the API, and is held to what clients may reach
  friend bool operator==(const CameraConfig&, const CameraConfig&) = default;
};

struct ModelConfig {
  std::string path = "gantry-traffic-n";  ///< a file or folder, or the name of a model that Gantry finds by itself
  InputSize imgsz;
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct EngineConfig {
  EngineDevice device = EngineDevice::kAuto;
  int max_batch = 8;
  int threads = 0;               ///< 0: one a core
  int streams = 4;               ///< batches that a GPU works on side by side
  double memory_fraction = 0.8;  ///< of a GPU's memory, in use by all programs together, that Gantry keeps to
  friend bool operator==(const EngineConfig&, const EngineConfig&) = default;
};

struct SchedulerConfig {
  std::string load_profile;  ///< file that keeps the learned time-of-day load; empty: none
  friend bool operator==(const SchedulerConfig&, const SchedulerConfig&) = default;
};

struct ResultsConfig {
  std::string jsonl = "-";  ///< a file, "-" for standard output, "" for none
  friend bool operator==(const ResultsConfig&, const ResultsConfig&) = default;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  Duration status_interval = std::chrono::seconds{5};
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct ReloadConfig {
  bool watch = true;
  friend bool operator==(const ReloadConfig&, const ReloadConfig&) = default;
};

struct TlsConfig {
  std::string certificate;  ///< PEM file; empty: plain HTTP
  std::string key;          ///< PEM file
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

/// The HTTP server.
struct ServerConfig {
  bool enabled = true;
  std::string address = "127.0.0.1";
  int port = 8080;
  bool insecure = false;
  TlsConfig tls;
  std::string tokens = "gantry-tokens.json";
  std::vector<std::string> allow_sources;
  std::string state_file = "gantry-cameras.json";
  friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};

struct Config {
  ModelConfig model;
  EngineConfig engine;
  SchedulerConfig scheduler;
  ResultsConfig results;
  LogConfig log;
  ReloadConfig reload;
  ServerConfig server;
  CameraConfig defaults;  ///< what every camera starts from; its source is empty
  std::map<std::string, CameraConfig> cameras;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace gantry::config
