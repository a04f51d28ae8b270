// gantry engine inspect|check: what the CUDA engine makes of a model.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cli {
namespace {

using namespace gantry::graph;

struct Options {
  std::string model;
  std::string shape;
  int batch = 1;
  bool json = false;
  double bandwidth = 3000;  // GB/s
  double tflops = 790;
  double l2_megabytes = 0;
};

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
  std::string text =
      std::to_string(buffer.width) + "x" + std::to_string(buffer.height) + "x" + std::to_string(view.channels);
  if (view.channels != buffer.pitch) text += "@" + std::to_string(view.channel) + "/" + std::to_string(buffer.pitch);
  if (view.upsample != 1) text += " x2";
  return text;
}

std::string describe(const Plan& plan, const std::vector<View>& views) {
  std::string text;
  for (const View& view : views) text += (text.empty() ? "" : " + ") + describe(plan, view);
  return text;
}

std::string label(const Op& op) {
  std::string text = kind_name(op);
  if (const auto* conv = op.as<ConvOp>(); conv != nullptr) {
    text += " " + std::to_string(conv->weights->kernel_h) + "x" + std::to_string(conv->weights->kernel_w);
    if (conv->stride > 1) text += "/" + std::to_string(conv->stride);
    if (conv->activation == Activation::kSilu) text += " silu";
    if (conv->residual) text += " +res";
  }
  return text;
}

void print_table(const Model& model, const Plan& plan, const Options& options) {
  const Card card{options.bandwidth * 1e9, options.tflops * 1e12};
  std::printf("%s  %dx%d  batch %d  %s  %zu classes\n\n", model.info().path.c_str(), plan.shape.width,
              plan.shape.height, options.batch, to_string(plan.buffers.front().type), model.info().class_names.size());
  std::printf("%4s %-11s %-22s %-32s %-20s %9s %9s %9s  %s\n", "op", "block", "kind", "in", "out", "KB", "MFLOP",
              "floor us", "node");
  Cost total, convolutions;
  double seconds = 0, convolution_seconds = 0;
  for (std::size_t i = 0; i < plan.ops.size(); ++i) {
    const Op& op = plan.ops[i];
    const Cost cost = cost_of(plan, op);
    const double floor = floor_seconds(cost, card, options.batch);
    total += cost;
    seconds += floor;
    if (op.as<ConvOp>() != nullptr) {
      convolutions += cost;
      convolution_seconds += floor;
    }
    const std::string block = op.block < 0 ? "" : to_string(plan.blocks[static_cast<std::size_t>(op.block)].kind);
    std::printf("%4zu %-11s %-22s %-32s %-20s %9.1f %9.2f %9.2f  %s\n", i, block.c_str(), label(op).c_str(),
                describe(plan, op.inputs).substr(0, 32).c_str(), describe(plan, op.outputs).c_str(),
                (cost.map_bytes * options.batch + cost.weight_bytes) / 1e3, cost.flops * options.batch / 1e6,
                floor * 1e6, op.name.c_str());
  }
  const Cost modules = cost_by_module(plan);
  const auto line = [&](const char* what, const Cost& cost, double time) {
    std::printf(
        "%-28s %4d convolutions %8.2f MB of maps, %7.2f MB of weights, %8.3f GFLOP; floor %9.2f us = %8.0f images/s\n",
        what, cost.convolutions, cost.map_bytes * options.batch / 1e6, cost.weight_bytes / 1e6,
        cost.flops * options.batch / 1e9, time * 1e6, options.batch / time);
  };
  std::printf("\n");
  line("convolutions, one by one", convolutions, convolution_seconds);
  line("all ops, one by one", total, seconds);
  line("fused module by module", modules, floor_seconds(modules, card, options.batch));
  std::printf(
      "arena %.2f MB for the batch; buffers without sharing %.2f MB an image (%.1f x); %zu blocks, %zu segments\n",
      static_cast<double>(plan.arena_bytes(options.batch)) / 1e6, static_cast<double>(plan.sum_of_buffers()) / 1e6,
      static_cast<double>(plan.sum_of_buffers()) / static_cast<double>(plan.arena_bytes(1)), plan.blocks.size(),
      plan.segments.size());
}

}  // namespace

void add_engine(CLI::App& app, int& exit_code) {
  auto* engine = app.add_subcommand("engine", "Look into Gantry's own GPU engine")->require_subcommand(1);
  auto options = std::make_shared<Options>();
  auto* inspect =
      engine->add_subcommand("inspect", "Print the fused plan of a model with bytes, flops and floor times");
  inspect->add_option("model", options->model, "ONNX file")->required();
  inspect->add_option("--shape", options->shape, "Input rectangle WIDTHxHEIGHT, multiples of 32; default: as exported");
  inspect->add_option("--batch", options->batch, "Images a batch")->check(CLI::Range(1, 1024));
  inspect->callback([options, &exit_code] {
    const Model model = Model::load(options->model);
    PlanOptions plan_options;
    plan_options.l2_bytes = static_cast<std::size_t>(options->l2_megabytes * 1e6);
    const Plan plan = make_plan(model, parse_shape(options->shape, model.info().native_shape), plan_options);
    print_table(model, plan, *options);
    exit_code = kOk;
  });
}

}  // namespace gantry::cli
