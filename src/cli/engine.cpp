// gantry engine inspect|check: what Gantry's own engine makes of a model, and whether it computes the same.
#include <fmt/format.h>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/engine_gpu.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/check.hpp"
#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/source_factory.hpp"
#include "gantry/vision/letterbox.hpp"

namespace gantry::cli {
namespace {

using namespace gantry::graph;

struct PlanChoice {
  std::string model;
  std::string shape;
  int batch = 1;
  std::string device = "auto";
  bool json = false;
};
struct InspectChoice : PlanChoice {
  double gigabytes_per_second = 3000;
  double teraflops = 790;
  double l2_megabytes = 0;
};
struct CheckChoice : PlanChoice {
  std::string input;
  double tolerance = 0;  ///< 0: kTolerance of what runs
  bool isolated = false;
};

/// Of a layer's largest value, against float32: the CPU runs in float32 too, the GPU stores halves, and the values of a
/// quantised model are a few steps apart where sums are rounded to different sides.
constexpr double kCpuTolerance = 1e-3;
constexpr double kLowTolerance = 3e-2;

void add_plan_options(CLI::App& command, PlanChoice& choice) {
  command.add_option("MODEL", choice.model, "The ONNX file")->required();
  command.add_option("--shape", choice.shape, "Input rectangle as WIDTHxHEIGHT, multiples of 32; default: as exported");
  command.add_option("--batch", choice.batch, "Pictures in a batch")->check(CLI::Range(1, 256));
  command
      .add_option("--device", choice.device,
                  "What runs it: auto (a GPU where there is one), cpu (no GPU), cuda or cuda:N")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_device(text) ? std::string{} : "'" + text + "' is no device; use auto, cpu, cuda or cuda:1";
      });
  command.add_flag("--json", choice.json, "Print the result as JSON");
}

engine::InputShape parse_shape(const std::string& text, engine::InputShape native) {
  if (text.empty()) return native;
  engine::InputShape shape;
  int used = 0;
  if (std::sscanf(text.c_str(), "%dx%d%n", &shape.width, &shape.height, &used) != 2 ||
      used != static_cast<int>(text.size()))
    throw ConfigError("--shape " + text + ": expected WIDTHxHEIGHT, for example 640x384");
  return shape;
}

std::string describe(const Plan& plan, const View& view) {
  const Buffer& buffer = plan.buffers[static_cast<std::size_t>(view.buffer)];
  std::string text = fmt::format("{}x{}x{}", buffer.width, buffer.height, view.channels);
  if (view.channels != buffer.pitch) text += fmt::format("@{}/{}", view.channel, buffer.pitch);
  if (view.upsample != 1) text += " x2";
  return text;
}
std::string describe(const Plan& plan, const std::vector<View>& views) {
  std::string text;
  for (const View& view : views) text += (text.empty() ? "" : " + ") + describe(plan, view);
  return text;
}
std::string describe(const Op& op) {
  std::string text = kind_name(op);
  if (const auto* conv = op.as<ConvOp>(); conv != nullptr) {
    text += fmt::format(" {}x{}", conv->weights->kernel_h, conv->weights->kernel_w);
    if (conv->stride > 1) text += fmt::format("/{}", conv->stride);
    if (conv->activation == Activation::kSilu) text += " silu";
    if (conv->residual) text += " +res";
  }
  return text;
}

/// One line of the report: an op, or a sum of them.
struct Line {
  std::string name;
  Cost cost;
  double floor_seconds = 0;
};
struct Report {
  std::vector<Line> ops;   ///< in the plan's order
  std::vector<Line> sums;  ///< convolutions one by one; all ops one by one; module by module
};

Report make_report(const Plan& plan, const Card& card, int batch) {
  Report report;
  Line convolutions{"convolutions one by one", {}, 0};
  Line all{"all ops one by one", {}, 0};
  for (const Op& op : plan.ops) {
    const Cost cost = cost_of(plan, op);
    const double floor = floor_seconds(cost, card, batch);
    report.ops.push_back({op.name, cost, floor});
    all.cost += cost;
    all.floor_seconds += floor;
    if (op.as<ConvOp>() == nullptr) continue;
    convolutions.cost += cost;
    convolutions.floor_seconds += floor;
  }
  const Cost modules = cost_by_module(plan);
  report.sums = {convolutions, all, {"fused module by module", modules, floor_seconds(modules, card, batch)}};
  return report;
}

double total_bytes(const Cost& cost, int batch) {
  return cost.map_bytes * batch + cost.weight_bytes;
}

void print_text(const Model& model, const Plan& plan, const Report& report, int batch) {
  fmt::print("{}: {}x{}, batch {}, {}, {} classes\n\n", model.info().path, plan.shape.width, plan.shape.height, batch,
             to_string(plan.buffers.front().type), model.info().class_names.size());
  fmt::print("{:>3} {:<10} {:<20} {:<30} {:<18} {:>8} {:>8} {:>8}  {}\n", "op", "block", "kind", "in", "out", "KB",
             "MFLOP", "floor us", "node");
  for (std::size_t i = 0; i < plan.ops.size(); ++i) {
    const Op& op = plan.ops[i];
    const Line& line = report.ops[i];
    const char* block = op.block < 0 ? "" : to_string(plan.blocks[static_cast<std::size_t>(op.block)].kind);
    fmt::print("{:>3} {:<10} {:<20} {:<30} {:<18} {:>8.1f} {:>8.1f} {:>8.2f}  {}\n", i, block, describe(op),
               describe(plan, op.inputs), describe(plan, op.outputs), total_bytes(line.cost, batch) / 1e3,
               line.cost.flops * batch / 1e6, line.floor_seconds * 1e6, line.name);
  }
  fmt::print("\n{:<24} {:>5} {:>10} {:>10} {:>8} {:>9} {:>10}\n", "total", "convs", "maps MB", "weights MB", "GFLOP",
             "floor us", "images/s");
  for (const Line& line : report.sums)
    fmt::print("{:<24} {:>5} {:>10.2f} {:>10.2f} {:>8.2f} {:>9.2f} {:>10.0f}\n", line.name, line.cost.convolutions,
               line.cost.map_bytes * batch / 1e6, line.cost.weight_bytes / 1e6, line.cost.flops * batch / 1e9,
               line.floor_seconds * 1e6, batch / line.floor_seconds);
  fmt::print("\narena {:.2f} MB for the batch, {:.2f} MB an image; its {} buffers add up to {:.2f} MB ({:.1f} times)\n",
             static_cast<double>(plan.arena_bytes(batch)) / 1e6, static_cast<double>(plan.arena_bytes(1)) / 1e6,
             plan.buffers.size() - 1, static_cast<double>(plan.sum_of_buffers()) / 1e6,
             static_cast<double>(plan.sum_of_buffers()) / static_cast<double>(plan.arena_bytes(1)));
  for (const Segment& segment : plan.segments)
    if (segment.sub_batch > 0)
      fmt::print("ops {} to {} run in sub-batches of {}\n", segment.first_op, segment.first_op + segment.op_count - 1,
                 segment.sub_batch);
}

nlohmann::json as_json(const Cost& cost, double floor_seconds, int batch) {
  return {{"convolutions", cost.convolutions},
          {"map_bytes", cost.map_bytes * batch},
          {"weight_bytes", cost.weight_bytes},
          {"flops", cost.flops * batch},
          {"floor_us", floor_seconds * 1e6}};
}

nlohmann::json as_json(const Plan& plan, const std::vector<View>& views) {
  auto list = nlohmann::json::array();
  for (const View& view : views)
    list.push_back({{"buffer", view.buffer},
                    {"channel", view.channel},
                    {"channels", view.channels},
                    {"height", size_of(plan, view).height},
                    {"width", size_of(plan, view).width},
                    {"upsample", view.upsample}});
  return list;
}

nlohmann::json as_json(const cuda::ProfileReport& measured) {
  nlohmann::json ops = nlohmann::json::array();
  for (const cuda::OpReport& op : measured.ops)
    ops.push_back({{"node", op.name}, {"kernel", op.kernel}, {"us", op.micros}, {"floor_us", op.floor_micros}});
  return {{"batch", measured.batch}, {"ms", measured.milliseconds}, {"kernels", measured.kernels}, {"ops", ops}};
}

void print_json(const Model& model, const Plan& plan, const Report& report, int batch,
                const std::optional<cuda::ProfileReport>& measured) {
  nlohmann::json ops = nlohmann::json::array();
  for (std::size_t i = 0; i < plan.ops.size(); ++i) {
    const Op& op = plan.ops[i];
    nlohmann::json entry = as_json(report.ops[i].cost, report.ops[i].floor_seconds, batch);
    entry.update({{"kind", kind_name(op)},
                  {"node", op.name},
                  {"in", as_json(plan, op.inputs)},
                  {"out", as_json(plan, op.outputs)},
                  {"depends_on", op.depends_on},
                  {"block", op.block}});
    ops.push_back(std::move(entry));
  }
  nlohmann::json totals;
  for (const Line& line : report.sums) totals[line.name] = as_json(line.cost, line.floor_seconds, batch);
  nlohmann::json blocks = nlohmann::json::array();
  for (const Block& block : plan.blocks)
    blocks.push_back({{"kind", to_string(block.kind)}, {"first_op", block.first_op}, {"ops", block.op_count}});
  nlohmann::json segments = nlohmann::json::array();
  for (const Segment& segment : plan.segments)
    segments.push_back({{"first_op", segment.first_op}, {"ops", segment.op_count}, {"sub_batch", segment.sub_batch}});
  nlohmann::json all{{"model", model.info().path},
                     {"hash", model.hash()},
                     {"width", plan.shape.width},
                     {"height", plan.shape.height},
                     {"batch", batch},
                     {"ops", ops},
                     {"totals", totals},
                     {"blocks", blocks},
                     {"segments", segments},
                     {"arena_bytes", plan.arena_bytes(batch)},
                     {"sum_of_buffers", plan.sum_of_buffers()}};
  if (measured) all["measured"] = as_json(*measured);
  fmt::print("{}\n", all.dump(2));
}

void inspect(const InspectChoice& choice) {
  const Model model = Model::load(choice.model);
  PlanOptions options;
  options.l2_bytes = static_cast<std::size_t>(choice.l2_megabytes * 1e6);
  options.quantized = model.quantized();
  const Plan plan = make_plan(model, parse_shape(choice.shape, model.info().native_shape), options);
  const Card card{choice.gigabytes_per_second * 1e9, choice.teraflops * 1e12};
  const Report report = make_report(plan, card, choice.batch);
  const auto measured = measure_on_gpu(choice.device, choice.model, plan.shape, choice.batch);
  if (choice.json) return print_json(model, plan, report, choice.batch, measured);
  print_text(model, plan, report, choice.batch);
  if (measured) print_measured(*measured);
}

/// The first pictures of a file or folder, letterboxed as in use.
std::vector<float> read_images(const std::string& url, engine::InputShape shape, int batch) {
  media::SourceConfig config;
  config.url = url;
  const auto source = media::make_source(config);
  const auto decoder = media::make_ffmpeg_decoder();
  const std::size_t size = 3 * static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height);
  std::vector<float> images;
  vision::Letterboxer letterboxer;
  const auto wanted = static_cast<std::size_t>(batch) * size;
  const auto drain = [&] {
    Frame frame;
    for (auto event = decoder->receive(frame); event != media::DecodeEvent::kNeedPacket;
         event = decoder->receive(frame)) {
      if (event != media::DecodeEvent::kFrame || images.size() == wanted) continue;
      const Image& image = frame.image;
      images.resize(images.size() + size);
      letterboxer.run(image, vision::letterbox_geometry(image.width, image.height, shape.width, shape.height),
                      images.data() + images.size() - size);
    }
  };
  bool open = false;
  while (images.size() < wanted) {
    auto packet = source->next();
    if (!packet) {
      if (packet.error().code != ErrorCode::kEndOfStream) throw MediaError(packet.error().message);
      if (open) decoder->finish();
      if (open) drain();
      break;
    }
    if (!open || packet->stream_changed) {
      if (open) decoder->finish();
      if (open) drain();
      if (const auto ready = decoder->open(source->stream()); !ready) throw MediaError(ready.error().message);
      open = true;
    }
    decoder->send(*packet);
    drain();
  }
  if (images.size() < wanted)
    throw MediaError(fmt::format("{}: holds {} pictures, --batch asks for {}", url, images.size() / size, batch));
  return images;
}

nlohmann::json as_json(const LayerError& error, double tolerance) {
  return {{"op", error.op},
          {"node", error.node},
          {"tensor", error.tensor},
          {"difference", error.difference},
          {"scale", error.scale},
          {"relative", error.relative()},
          {"within", error.within(tolerance)},
          {"image", error.image},
          {"y", error.y},
          {"x", error.x},
          {"channel", error.channel},
          {"expected", error.expected},
          {"found", error.found},
          {"rounded", error.rounded},
          {"beyond_a_step", error.beyond_a_step}};
}

int check(const CheckChoice& choice) {
  const Model model = Model::load(choice.model);
  const engine::InputShape shape = parse_shape(choice.shape, model.info().native_shape);
  PlanOptions options;
  options.quantized = model.quantized();
  const Plan plan = make_plan(model, shape, options);
  const std::vector<float> images =
      choice.input.empty() ? drawn_images(shape, choice.batch) : read_images(choice.input, shape, choice.batch);
  const LayerCheck reference(model, plan, images, choice.batch);
  // Along a quantised network, sums that round to other sides grow into other steps, whoever computes them.
  const CheckMode mode = choice.isolated || model.quantized() ? CheckMode::kIsolated : CheckMode::kCumulative;
  auto on_gpu = check_on_gpu(choice.device, choice.model, shape, images, reference, mode);
  const char* const runs = on_gpu ? "gpu" : "cpu";
  const double tolerance = choice.tolerance > 0          ? choice.tolerance
                           : on_gpu || model.quantized() ? kLowTolerance
                                                         : kCpuTolerance;
  const auto errors = on_gpu ? std::move(*on_gpu) : check_on_cpu(reference, plan, images, choice.batch, mode);
  const LayerError* first = nullptr;
  for (const LayerError& error : errors)
    if (first == nullptr && !error.within(tolerance)) first = &error;

  if (choice.json) {
    nlohmann::json layers = nlohmann::json::array();
    for (const LayerError& error : errors) layers.push_back(as_json(error, tolerance));
    nlohmann::json all{{"model", choice.model},  {"width", shape.width},     {"height", shape.height},
                       {"tolerance", tolerance}, {"good", first == nullptr}, {"layers", layers},
                       {"device", runs}};
    if (first != nullptr) all["first_out_of_tolerance"] = first->node;
    if (reference.decode()) all["decode"] = {{"box_px", reference.decode()->box}, {"score", reference.decode()->score}};
    fmt::print("{}\n", all.dump(2));
    return first == nullptr ? kOk : kFailed;
  }
  fmt::print("{:>3} {:>11} {:>11} {:>10}  {}\n", "op", "difference", "scale", "relative", "node");
  for (const LayerError& error : errors)
    fmt::print("{:>3} {:>11.3e} {:>11.3e} {:>10.1e}{} {}\n", error.op, error.difference, error.scale, error.relative(),
               error.within(tolerance) ? " " : "!", error.node);
  if (reference.decode())
    fmt::print("\nGantry's decode against the file's own: boxes {:.1e} px, scores {:.1e} apart at most\n",
               reference.decode()->box, reference.decode()->score);
  std::size_t rounded = 0;
  std::size_t beyond = 0;
  for (const LayerError& error : errors) {
    rounded += error.rounded;
    beyond += error.beyond_a_step;
  }
  if (rounded > 0)
    fmt::print("\n{:.4f} % of {} rounded results are within one step\n",
               100 * static_cast<double>(rounded - beyond) / static_cast<double>(rounded), rounded);
  if (first == nullptr) {
    fmt::print("\n{} on the {}: all {} results within {:g} of the float32 run\n", choice.model, runs, errors.size(),
               tolerance);
    return kOk;
  }
  fmt::print(
      "\n{} on the {}: op {} ({}) is the first out of tolerance: {} instead of {} in picture {}, row {}, column {}, "
      "channel {}\n",
      choice.model, runs, first->op, first->node, first->found, first->expected, first->image, first->y, first->x,
      first->channel);
  return kFailed;
}

}  // namespace

void add_engine(CLI::App& app, int& exit_code) {
  auto* engine = app.add_subcommand("engine", "Look into Gantry's own engine: its plan of a model, and its errors");
  engine->require_subcommand(1);
  engine->footer("Example:\n  gantry engine inspect yolo11n.onnx --shape 640x384 --batch 32");

  auto* inspect_command = engine->add_subcommand(
      "inspect",
      "Print the fused plan: every op with the bytes and flops it needs and the time they take at the least, and where "
      "there is a GPU the time they do take");
  auto inspected = std::make_shared<InspectChoice>();
  add_plan_options(*inspect_command, *inspected);
  inspect_command
      ->add_option("--bandwidth", inspected->gigabytes_per_second, "Memory rate of the card, GB/s (default: H100)")
      ->check(CLI::PositiveNumber);
  inspect_command->add_option("--tflops", inspected->teraflops, "Arithmetic rate of the card, TFLOP/s (default: H100)")
      ->check(CLI::PositiveNumber);
  inspect_command
      ->add_option("--l2", inspected->l2_megabytes,
                   "Cut the wide layers into sub-batches that fit this many MB of cache; 0: don't")
      ->check(CLI::NonNegativeNumber);
  inspect_command->footer("Example:\n  gantry engine inspect yolo11n.onnx --shape 640x384 --batch 32");
  inspect_command->callback([inspected] { inspect(*inspected); });

  auto* check_command = engine->add_subcommand(
      "check",
      "Run the fused plan, compare every layer with a float32 run of the file as it stands, and name the first that "
      "differs");
  auto checked = std::make_shared<CheckChoice>();
  add_plan_options(*check_command, *checked);
  check_command->add_option("--input", checked->input, "Pictures or video to run on; default: drawn pictures");
  check_command
      ->add_option(
          "--tolerance", checked->tolerance,
          "Largest difference allowed, of a layer's largest value; default: 1e-3 on the CPU, 3e-2 on a GPU and "
          "of quantised models")
      ->check(CLI::PositiveNumber);
  check_command->add_flag(
      "--isolated", checked->isolated,
      "Give every op the float32 run's inputs, so that errors don't add up; so always with quantised models");
  check_command->footer("Example:\n  gantry engine check yolo11n.onnx --input frame.jpg");
  check_command->callback([checked, &exit_code] { exit_code = check(*checked); });
}

}  // namespace gantry::cli
