// gantry config check|reference|example
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "gantry/config/loader.hpp"
#include "gantry/config/reference.hpp"

namespace gantry::cli {
namespace {

void check(const std::string& path, bool json) {
  const auto config = config::load_file(path);
  std::size_t enabled = 0;
  for (const auto& [id, camera] : config.cameras) enabled += camera.enabled ? 1 : 0;
  if (json)
    std::printf(
        "%s\n",
        nlohmann::json{{"file", path}, {"cameras", config.cameras.size()}, {"enabled", enabled}}.dump().c_str());
  else
    std::printf("%s: good; %zu cameras, %zu of them enabled\n", path.c_str(), config.cameras.size(), enabled);
}

void print_reference(bool json) {
  if (!json) {
    std::fputs(config::reference_markdown().c_str(), stdout);
    return;
  }
  auto keys = nlohmann::json::array();
  for (const auto& key : config::describe_keys())
    keys.push_back({{"key", key.path},
                    {"type", key.type},
                    {"range", key.range},
                    {"unit", key.unit},
                    {"default", key.fallback},
                    {"applies", key.applies},
                    {"sentence", key.sentence}});
  std::printf("%s\n", keys.dump(2).c_str());
}

}  // namespace

void add_config(CLI::App& app, int& /*exit_code*/) {
  auto* config = app.add_subcommand("config", "Check a configuration file, or print what can stand in one");
  config->require_subcommand(1);
  config->footer("Example:\n  gantry config check gantry.yaml");

  auto* check_command = config->add_subcommand("check", "Report everything that is wrong with a file");
  auto path = std::make_shared<std::string>();
  auto check_json = std::make_shared<bool>(false);
  check_command->add_option("FILE", *path, "The configuration file")->required();
  check_command->add_flag("--json", *check_json, "Print the result as JSON");
  check_command->footer("Example:\n  gantry config check gantry.yaml");
  check_command->callback([path, check_json] { check(*path, *check_json); });

  auto* reference = config->add_subcommand("reference", "Print every key with type, range, default and meaning");
  auto reference_json = std::make_shared<bool>(false);
  reference->add_flag("--json", *reference_json, "Print the table as JSON");
  reference->footer("Example:\n  gantry config reference --json");
  reference->callback([reference_json] { print_reference(*reference_json); });

  auto* example = config->add_subcommand("example", "Print a file that shows every key");
  example->footer("Example:\n  gantry config example > gantry.yaml");
  example->callback([] { std::fputs(config::example_yaml().c_str(), stdout); });
}

}  // namespace gantry::cli
