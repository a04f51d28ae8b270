#pragma once
// One function a command: it adds its subcommand to `app` and, when that is chosen, runs it and leaves the exit code in
// `exit_code`. Failures that the user can mend are thrown as StartupError and reported by main().
#include <CLI/CLI.hpp>

namespace gantry::cli {

/// Documented in docs/cli.md; scripts rely on them.
enum ExitCode : int {
  kOk = 0,
  kFailed = 1,         ///< started, and something failed on the way
  kBadInput = 2,       ///< command line, config, model or input that can't be used; the message says what to change
  kInterrupted = 130,  ///< ended early by SIGINT or SIGTERM; what was done is complete
};

/// Prints "gantry: MESSAGE" to standard error, each line of it.
void print_error(const char* message);

void add_detect(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_bench_streams(CLI::App& bench, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_demo(CLI::App& app, int& exit_code);
void add_config(CLI::App& app, int& exit_code);
void add_engine(CLI::App& app, int& exit_code);
void add_optimize(CLI::App& app, int& exit_code);
void add_val(CLI::App& app, int& exit_code);
void add_simulate(CLI::App& app, int& exit_code);
void add_scene(CLI::App& app, int& exit_code);
void add_server_admin(CLI::App& app, int& exit_code);

}  // namespace gantry::cli
