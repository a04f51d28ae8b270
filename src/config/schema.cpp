// Every key of the configuration file: what it is bound to, unit, range, sentence, and when a change takes effect. The
// loader, docs/configuration.md, examples/gantry.yaml and the reload all read this table and nothing else; the default
// of a key is the initialiser of its member in config.hpp.
#include "config/table.hpp"
#include "gantry/config/config.hpp"

namespace gantry::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<std::pair<std::string, Priority>> priorities() {
  std::vector<std::pair<std::string, Priority>> values;
  for (const Priority priority : kAllPriorities) values.emplace_back(gantry::to_string(priority), priority);
  return values;
}

std::string check_camera(const void* object) {
  const auto& camera = *static_cast<const CameraConfig*>(object);
  if (camera.backoff_min > camera.backoff_max)
    return "backoff_min_ms is larger than backoff_max_ms; make it the smaller of the two";
  return {};
}

// clang-format off
std::vector<Key> camera_keys(bool with_source) {
  std::vector<Key> keys;
  if (with_source)
    keys.push_back({"source", text(&CameraConfig::source), "",
      "Where the video comes from: rtsp:// or http(s):// URL, video file, folder of pictures, or scene://NAME. Write ${NAME} for a password and set NAME in the environment.",
      Applies::kReconnects, "rtsp://viewer:${NORTH_GATE_PASSWORD}@192.0.2.10/stream1", true});
  keys.insert(keys.end(), {
    {"enabled", flag(&CameraConfig::enabled), "", "false keeps the camera in the file without connecting to it."},
    {"fps", number(&CameraConfig::fps, 0, 240), "frames/s",
      "At most this many frames a second are looked at, spread evenly; 0 looks at every frame."},
    {"priority", choice(&CameraConfig::priority, priorities()), "",
      "Who is served first when the machine cannot serve everybody."},
    {"deadline_ms", time<milliseconds>(&CameraConfig::deadline, 1, 600'000), "ms",
      "A result that comes later than this after the frame was captured is marked late; frames that cannot make it are not started."},
    {"classes", texts(&CameraConfig::classes), "", "Only these classes are reported, by name or number; an empty list reports all.",
      Applies::kAtOnce, "[car, bus, truck]"},
    {"conf", number(&CameraConfig::confidence, 0, 1), "", "Detections with a confidence at or below this are left out."},
    {"iou", number(&CameraConfig::iou, 0, 1), "", "Of two boxes of a class that overlap by more than this, the weaker one is left out."},
    {"max_det", whole(&CameraConfig::max_detections, 1, 10'000), "boxes", "At most this many detections a frame, the strongest."},
    {"agnostic", flag(&CameraConfig::agnostic), "", "true lets boxes of different classes suppress each other."},
    {"transport", choice(&CameraConfig::transport, {{"tcp", Transport::kTcp}, {"udp", Transport::kUdp}}), "",
      "How RTSP carries the video; tcp loses nothing and passes every firewall that passes RTSP.", Applies::kReconnects},
    {"loop", flag(&CameraConfig::loop), "", "A file starts again from its beginning when it ends.", Applies::kReconnects},
    {"connect_timeout_ms", time<milliseconds>(&CameraConfig::connect_timeout, 100, 600'000), "ms",
      "A connection that takes longer is given up and tried again after the back-off.", Applies::kReconnects},
    {"read_timeout_ms", time<milliseconds>(&CameraConfig::read_timeout, 100, 600'000), "ms",
      "A stream that sends nothing for this long is stalled and opened anew.", Applies::kReconnects},
    {"backoff_min_ms", time<milliseconds>(&CameraConfig::backoff_min, 10, 3'600'000), "ms",
      "Wait before the first new attempt; it doubles with each failure, with jitter.", Applies::kReconnects},
    {"backoff_max_ms", time<milliseconds>(&CameraConfig::backoff_max, 10, 3'600'000), "ms",
      "Longest wait between two attempts.", Applies::kReconnects},
    {"picture_check_ms", time<milliseconds>(&CameraConfig::picture_check, 0, 600'000), "ms",
      "How often a picture's brightness, contrast and sharpness are measured, to notice a covered lens or a frozen picture; 0 never."},
  });
  return keys;
}

const Section& defaults_section() {
  static const Section table{camera_keys(false), check_camera};
  return table;
}

const Section& model_section() {
  static const Section table{{
    {"path", text(&ModelConfig::path), "",
      "The detector: an .onnx file, an OpenVINO .xml file or its folder, or the name of a model that comes with Gantry.", Applies::kAtStart},
    {"imgsz", {.type = "auto, N or WxH", .range = "32…4096",
        .read = [](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
          read_input_size(node, reader, path, static_cast<ModelConfig*>(object)->imgsz);
        },
        .show = [](const void* object) { return to_string(static_cast<const ModelConfig*>(object)->imgsz); }}, "px",
      "The network's input: auto takes the smallest rectangle around each camera's picture where the model allows it, N is a square, WxH a fixed rectangle.", Applies::kAtStart},
  }, {}};
  return table;
}

const Section& engine_section() {
  static const Section table{{
    {"device", choice(&EngineConfig::device, {{"auto", EngineDevice::kAuto}, {"cpu", EngineDevice::kCpu}, {"cuda", EngineDevice::kCuda}}), "",
      "What runs the network: auto takes the GPUs where there are some, otherwise the CPU.", Applies::kAtStart},
    {"max_batch", whole(&EngineConfig::max_batch, 1, 256), "frames", "Largest batch that the scheduler may form.", Applies::kAtStart},
    {"threads", whole(&EngineConfig::threads, 0, 1024), "threads", "CPU threads of the network; 0 takes every core.", Applies::kAtStart},
    {"streams", whole(&EngineConfig::streams, 1, 8), "batches", "Batches that a GPU works on side by side, each on a stream of its own.", Applies::kAtStart},
    {"memory_fraction", number(&EngineConfig::memory_fraction, 0.1, 1), "",
      "Share of a GPU's memory that may be in use, by other programs too; cameras beyond it are decoded on the CPU, and a network that needs more is refused.",
      Applies::kAtStart},
  }, {}};
  return table;
}

const Section& scheduler_section() {
  static const Section table{{
    {"load_profile", text(&SchedulerConfig::load_profile, true), "",
      "File that keeps what was learned of the load at each time of day, so that a restart still knows the rush hour; \"\" keeps nothing.",
      Applies::kAtStart},
  }, {}};
  return table;
}

const Section& results_section() {
  static const Section table{{
    {"jsonl", text(&ResultsConfig::jsonl, true), "",
      "Where results go, one JSON object a line: a file (appended to), \"-\" for standard output, \"\" for nowhere.", Applies::kAtStart},
  }, {}};
  return table;
}

const Section& log_section() {
  static const Section table{{
    {"level", choice(&LogConfig::level, {{"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}}), "",
      "Least severity that is logged to standard error."},
    {"status_interval_s", time<seconds>(&LogConfig::status_interval, 0, 3600), "s",
      "How often a status line for each camera is logged; 0 never."},
  }, {}};
  return table;
}

const Section& reload_section() {
  static const Section table{{
    {"watch", flag(&ReloadConfig::watch), "",
      "true takes over this file as soon as it is written, saved or replaced; false waits for SIGHUP or the API.", Applies::kAtStart},
  }, {}};
  return table;
}

std::string check_tls(const void* object) {
  const auto& tls = *static_cast<const TlsConfig*>(object);
  if (tls.certificate.empty() != tls.key.empty()) return "certificate and key belong together; give both or neither";
  return {};
}

const Section& tls_section() {
  static const Section table{{
    {"certificate", text(&TlsConfig::certificate, true), "",
      "PEM file with the certificate and its chain; with it the server speaks HTTPS only. `gantry cert self-signed` makes one.", Applies::kAtStart},
    {"key", text(&TlsConfig::key, true), "", "PEM file with the certificate's private key.", Applies::kAtStart},
  }, check_tls};
  return table;
}

const Section& server_section() {
  static const Section table{{
    {"enabled", flag(&ServerConfig::enabled), "", "The HTTP server: API, web page, metrics and health; false leaves it out.", Applies::kAtStart},
    {"address", text(&ServerConfig::address), "",
      "IP address to listen on; anything but loopback needs TLS or insecure.", Applies::kAtStart},
    {"port", whole(&ServerConfig::port, 0, 65535), "", "TCP port; 0 takes any free one and logs it.", Applies::kAtStart},
    {"insecure", flag(&ServerConfig::insecure), "",
      "true allows plain HTTP beyond loopback, where tokens and pictures can be read on the way.", Applies::kAtStart},
    {"tls", section(&ServerConfig::tls, tls_section()), "", "HTTPS."},
    {"tokens", text(&ServerConfig::tokens), "",
      "File with the hashes of the tokens that let clients in; made with a first admin token, printed once, where it is missing.", Applies::kAtStart},
    {"allow_sources", texts(&ServerConfig::allow_sources), "",
      "Beginnings of camera sources that clients of the API may use although they are files, other protocols or internal addresses.",
      Applies::kAtStart},
    {"state_file", text(&ServerConfig::state_file), "",
      "Where changes of cameras made through the API are kept; laid over this file at every start and reload.", Applies::kAtStart},
  }, {}};
  return table;
}
// clang-format on

}  // namespace

const Section& camera_section() {
  static const Section table{camera_keys(true), check_camera};
  return table;
}

const Section& root_section() {
  static const Section table{
      {
          {"model", section(&Config::model, model_section()), "", "The detector."},
          {"engine", section(&Config::engine, engine_section()), "", "What runs it."},
          {"scheduler", section(&Config::scheduler, scheduler_section()), "", "How the load is learned."},
          {"results", section(&Config::results, results_section()), "", "Where results go."},
          {"log", section(&Config::log, log_section()), "", "What is said on standard error."},
          {"reload", section(&Config::reload, reload_section()), "", "When this file is read again."},
          {"server", section(&Config::server, server_section()), "", "The HTTP server."},
          {"defaults", section(&Config::defaults, defaults_section()), "",
           "What every camera starts from: any key of a camera but its source."},
          {"cameras", sections(&Config::cameras, camera_section(), &Config::defaults), "",
           "The cameras, each under its id: 1 to 64 letters, digits, '_', '-' or '.'."},
      },
      {}};
  return table;
}

}  // namespace gantry::config
