// gantry doctor: what this machine has, what that means for the number of cameras, what is missing, what to type.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/summary.hpp"
#include "gantry/app/bench.hpp"
#include "gantry/app/machine.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

struct DoctorCommand {
  ModelChoice model;
  double fps = 10;
  double camera_mbit = 4;
  bool json = false;
};

// What one camera holds while it runs: the RTSP connection, its media sockets over UDP, and FFmpeg's own.
constexpr std::uint64_t kDescriptorsACamera = 6;
// Everything else: model, listeners, logs, sinks.
constexpr std::uint64_t kDescriptorsBesides = 64;
// A second of video of a 4K camera's key frame fits; less loses packets under load.
constexpr std::uint64_t kGoodReceiveBuffer = 4U << 20U;

struct Finding {
  std::string part;
  std::string has;
  std::string means;
  std::string missing;  ///< what to do; empty where nothing is
};

std::string gib(std::uint64_t bytes) {
  return fixed(static_cast<double>(bytes) / (1024.0 * 1024 * 1024), 1) + " GiB";
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text.empty() ? "none that helps" : text;
}

/// Measured here and now; nothing where there is no model to measure with.
std::optional<app::EngineTiming> measure(const DoctorCommand& command, std::string& device, std::string& why_not) {
  try {
    const auto backend = open_model(command.model);
    const auto capabilities = backend->capabilities();
    device = capabilities.device;
    const int batch = capabilities.device == "cpu" ? 1 : std::min(16, capabilities.max_batch);
    return app::time_engine(*backend, 1920, 1080, batch, std::max(1, capabilities.concurrent_batches) + 1,
                            std::chrono::seconds{2});
  } catch (const StartupError& error) {
    why_not = error.what();
    return std::nullopt;
  }
}

std::vector<Finding> examine(const DoctorCommand& command, const app::Machine& machine) {
  std::vector<Finding> findings;
  std::string device;
  std::string why_not;
  const auto timing = measure(command, device, why_not);
  Finding cpu{"processor", machine.cpu + ", " + std::to_string(machine.cores) + " cores, " + join(machine.instructions),
              "", ""};
  if (machine.instructions.empty()) cpu.missing = "the network is slow without AVX2; use a machine that has it";
  cpu.means = "decoding and, without a GPU, the network run here";
  findings.push_back(cpu);

  Finding network{"network (model)", "", "", ""};
  if (timing) {
    const double rate = timing->frames_per_second();
    network.has = command.model.model + " on " + device + ": " + fixed(rate, 1) + " frames/s, measured now at " +
                  std::to_string(timing->shape.width) + "x" + std::to_string(timing->shape.height);
    network.means = std::to_string(static_cast<int>(rate / command.fps)) + " cameras at " + fixed(command.fps, 0) +
                    " frames/s each, less what decoding takes";
  } else {
    network.has = "not measured";
    network.means = "the number of cameras is not known";
    network.missing = why_not;
  }
  findings.push_back(network);

  findings.push_back({"memory", gib(machine.memory_bytes) + ", " + gib(machine.memory_free_bytes) + " free",
                      "a camera holds its decoder and a few frames; a 1080p frame is 3 MiB", ""});

  if (machine.gpus.empty()) {
    findings.push_back({"GPU", "none", "the network runs on the processor",
                        machine.gpu_missing + "; with an NVIDIA card: sudo apt-get install nvidia-driver"});
  }
  for (const auto& gpu : machine.gpus) {
    Finding found{"GPU",
                  gpu.name + ", " + gib(gpu.memory_bytes) + " (" + gib(gpu.memory_free_bytes) + " free), driver " +
                      machine.driver,
                  "", ""};
    if (gpu.pcie_width > 0)
      found.has += ", PCIe " + std::to_string(gpu.pcie_generation) + ".0 x" + std::to_string(gpu.pcie_width);
    if (gpu.near.node >= 0) found.has += ", NUMA node " + std::to_string(gpu.near.node);
    found.means =
        machine.nvdec ? "decodes on the card (NVDEC)" : "frames are decoded by the processor and copied to the card";
    if (!gpu.near.cpus.empty())
      found.means += "; its engine's threads stay near it, on CPUs " + cpu_list(gpu.near.cpus);
    if (!machine.nvdec) found.missing = "libnvcuvid.so.1 is not there: sudo apt-get install libnvcuvid1";
    if (gpu.pcie_width > 0 && gpu.pcie_width < gpu.pcie_width_possible)
      found.missing += (found.missing.empty() ? "" : "; ") + std::string{"the card runs on "} +
                       std::to_string(gpu.pcie_width) + " of " + std::to_string(gpu.pcie_width_possible) +
                       " lanes: put it into a wider slot, or check again under load";
    findings.push_back(found);
  }

  for (const auto& link : machine.links) {
    Finding found{"network link",
                  link.name + (link.megabits > 0 ? ", " + std::to_string(link.megabits) + " Mbit/s" : ""), "", ""};
    found.means = link.megabits > 0
                      ? std::to_string(static_cast<int>(static_cast<double>(link.megabits) / command.camera_mbit)) +
                            " cameras of " + fixed(command.camera_mbit, 0) + " Mbit/s"
                      : "its speed is not known here";
    findings.push_back(found);
  }
  if (machine.receive_buffer_bytes > 0 && machine.receive_buffer_bytes < kGoodReceiveBuffer)
    findings.push_back({"socket buffers", std::to_string(machine.receive_buffer_bytes / 1024) + " KiB at most",
                        "RTSP over UDP loses packets in bursts; TCP does not",
                        "sudo sysctl -w net.core.rmem_max=" + std::to_string(kGoodReceiveBuffer)});

  const auto room = machine.descriptors > kDescriptorsBesides ? machine.descriptors - kDescriptorsBesides : 0;
  Finding descriptors{
      "descriptors",
      std::to_string(machine.descriptors) + " (up to " + std::to_string(machine.descriptors_possible) + ")",
      "enough for " + std::to_string(room / kDescriptorsACamera) + " cameras", ""};
  if (room / kDescriptorsACamera < 1000) descriptors.missing = "for 1000 cameras: ulimit -n 16384";
  findings.push_back(descriptors);
  return findings;
}

void run(const DoctorCommand& command) {
  const auto machine = app::read_machine();
  const auto findings = examine(command, machine);
  if (command.json) {
    auto out = nlohmann::json::array();
    for (const auto& finding : findings)
      out.push_back(
          {{"part", finding.part}, {"has", finding.has}, {"means", finding.means}, {"missing", finding.missing}});
    std::printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  for (const auto& finding : findings) {
    std::printf("%s: %s\n    %s\n", finding.part.c_str(), finding.has.c_str(), finding.means.c_str());
    if (!finding.missing.empty()) std::printf("    ! %s\n", finding.missing.c_str());
  }
}

}  // namespace

void add_doctor(CLI::App& app, int& /*exit_code*/) {
  auto command = std::make_shared<DoctorCommand>();
  auto* doctor = app.add_subcommand("doctor", "Say what this machine can carry and what it lacks");
  add_model_options(*doctor, command->model);
  doctor->add_option("--fps", command->fps, "Frames a second that each camera shall have")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 240.0));
  doctor->add_option("--camera-mbit", command->camera_mbit, "Mbit/s that each camera sends")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 1000.0));
  doctor->add_flag("--json", command->json, "Print the findings as JSON");
  doctor->footer("Example:\n  gantry doctor --model yolo11n.onnx --fps 15");
  doctor->callback([command] { run(*command); });
}

}  // namespace gantry::cli
