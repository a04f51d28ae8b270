#include <cstdio>
#include <exception>

#include "cli/allocator.hpp"
#include "cli/commands.hpp"
#include "gantry/core/errors.hpp"

int main(int argc, char** argv) {
  using namespace gantry;
  cli::settle_allocator();
  int exit_code = cli::kOk;
  CLI::App app{"Gantry: deadline-aware video analytics for hundreds of traffic cameras", "gantry"};
  app.set_version_flag("--version", GANTRY_VERSION);
  app.require_subcommand(1);
  cli::add_detect(app, exit_code);
  cli::add_serve(app, exit_code);
  cli::add_bench(app, exit_code);
  cli::add_doctor(app, exit_code);
  cli::add_demo(app, exit_code);
  cli::add_config(app, exit_code);
  cli::add_engine(app, exit_code);
  cli::add_optimize(app, exit_code);
  cli::add_val(app, exit_code);
  cli::add_simulate(app, exit_code);
  cli::add_scene(app, exit_code);
  cli::add_server_admin(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? cli::kOk : cli::kBadInput;
  } catch (const StartupError& error) {
    cli::print_error(error.what());
    return cli::kBadInput;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gantry: internal error: %s\n", error.what());
    return cli::kFailed;
  }
  return exit_code;
}
