#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/commands.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/scheduler/sim/comparison.hpp"
#include "gantry/scheduler/sim/policies.hpp"
#include "gantry/scheduler/sim/scenario.hpp"

namespace gantry::cli {

namespace {

namespace sim = scheduler::sim;

struct Arguments {
  std::vector<std::string> files;
  std::string all;
  std::string policy;
  std::string setup;
  std::string plot;
  bool compare = false;
  bool json = false;
  bool markdown = false;
  bool short_form = false;
  bool quiet = false;
  int seeds = 1;
  int first_seed = 1;
  int jobs = 1;
};

std::vector<std::filesystem::path> files_of(const Arguments& arguments) {
  std::vector<std::filesystem::path> files(arguments.files.begin(), arguments.files.end());
  if (!arguments.all.empty()) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(arguments.all, error)) {
      if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
    if (error) throw ConfigError(arguments.all + ": cannot be read; give --all a folder of scenario files");
    std::sort(files.begin(), files.end());
  }
  if (files.empty()) throw ConfigError("simulate: no scenario; name scenario files, or a folder of them with --all");
  return files;
}

std::vector<sim::Scenario> scenarios_of(const Arguments& arguments) {
  std::vector<sim::Scenario> scenarios;
  for (const std::filesystem::path& file : files_of(arguments)) {
    const auto length = arguments.short_form ? sim::Length::kShort : sim::Length::kFull;
    for (sim::Scenario& scenario : sim::load_scenarios(file, length)) {
      if (arguments.setup.empty() || scenario.setup == arguments.setup) scenarios.push_back(std::move(scenario));
    }
  }
  if (scenarios.empty())
    throw ConfigError("simulate: no setup '" + arguments.setup + "' in these scenarios; leave --setup out");
  return scenarios;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) throw ConfigError(path + ": cannot be written; give --plot a path in a folder that exists");
}

void run(const Arguments& arguments) {
  const std::vector<sim::Scenario> scenarios = scenarios_of(arguments);
  if (!arguments.plot.empty() && scenarios.size() > 1) {
    throw ConfigError(fmt::format("simulate: --plot draws one setup and {} are asked for; choose one with --setup",
                                  scenarios.size()));
  }
  sim::CompareOptions options;
  options.policies = arguments.compare ? sim::policy_names() : std::vector<std::string>{arguments.policy};
  options.first_seed = static_cast<std::uint64_t>(arguments.first_seed);
  options.seeds = arguments.seeds;
  options.jobs = arguments.jobs;
  if (!arguments.quiet) {
    options.progress = [](const std::string& line) { std::fprintf(stderr, "gantry: done %s\n", line.c_str()); };
  }
  const std::vector<sim::Comparison> comparisons = sim::compare(scenarios, options);
  if (!arguments.plot.empty()) write_file(arguments.plot, sim::to_svg(comparisons.front()));
  std::string out;
  if (arguments.json) out = sim::to_json(comparisons);
  if (arguments.markdown) out = sim::to_markdown(comparisons);
  if (out.empty()) out = sim::to_text(comparisons);
  std::fwrite(out.data(), 1, out.size(), stdout);
}

}  // namespace

void add_simulate(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<Arguments>();
  arguments->policy = sim::policy_names().front();
  arguments->jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  CLI::App* command =
      app.add_subcommand("simulate", "Play camera traffic to the scheduler in virtual time and compare it with others");
  command->footer("Example:\n  gantry simulate examples/scenarios/03-rush-hour.yaml --short");
  command->add_option("scenario", arguments->files, "Scenario files (YAML; docs/scheduler.md lists the keys)");
  command->add_option("--all", arguments->all, "Every scenario of this folder");
  command->add_option("--setup", arguments->setup, "Only the setup of this name");
  auto* policy = command->add_option("--policy", arguments->policy, "Policy to run")
                     ->check(CLI::IsMember(sim::policy_names()))
                     ->capture_default_str();
  command->add_flag("--compare", arguments->compare, "Every policy, and the upper bound")->excludes(policy);
  command->add_option("--seeds", arguments->seeds, "How many seeds")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--first-seed", arguments->first_seed, "The first of them")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--jobs", arguments->jobs, "Threads; the result does not depend on it")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--short", arguments->short_form, "The short form of each scenario");
  command->add_option("--plot", arguments->plot, "Draw the first seed into this SVG file");
  auto* json = command->add_flag("--json", arguments->json, "Print every run as JSON");
  command->add_flag("--markdown", arguments->markdown, "Print the tables of docs/scheduler.md")->excludes(json);
  command->add_flag("--quiet", arguments->quiet, "No progress on the error stream");
  command->callback([arguments, &exit_code] {
    run(*arguments);
    exit_code = kOk;
  });
}

}  // namespace gantry::cli
