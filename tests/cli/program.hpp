#pragma once
// The real gantry program as a child: run to its end, or steered by signals while it runs.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/temporary_folder.hpp"

namespace gantry::test {

class Program {
 public:
  using Environment = std::map<std::string, std::string>;

  explicit Program(std::vector<std::string> arguments, const Environment& environment = {}) {
    arguments.insert(arguments.begin(), GANTRY_PROGRAM);
    std::vector<char*> argv;
    for (auto& word : arguments) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    send_to(STDOUT_FILENO, out_path());
    send_to(STDERR_FILENO, err_path());
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Program() {
    if (pid_ > 0 && !ended_) {
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  /// The exit code; 128 + number where a signal ended it, -1 where it did not end in time (and is killed).
  int wait(std::chrono::seconds at_most = std::chrono::seconds{120}) {
    const auto give_up = std::chrono::steady_clock::now() + at_most;
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() >= give_up) return -1;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] bool wait_for(const std::function<bool()>& condition,
                              std::chrono::seconds at_most = std::chrono::seconds{60}) const {
    const auto give_up = std::chrono::steady_clock::now() + at_most;
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= give_up) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    return true;
  }
  [[nodiscard]] std::string out() const { return read_text(out_path()); }
  [[nodiscard]] std::string err() const { return read_text(err_path()); }
  /// Resident memory, KiB; 0 once it has ended.
  [[nodiscard]] long resident_kib() const {
    std::ifstream status{"/proc/" + std::to_string(pid_) + "/status"};
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
  }

 private:
  [[nodiscard]] std::string out_path() const { return folder_.file("out"); }
  [[nodiscard]] std::string err_path() const { return folder_.file("err"); }
  static void send_to(int descriptor, const std::string& path) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, descriptor);
  }
  TemporaryFolder folder_;
  pid_t pid_ = 0;
  bool ended_ = false;
};

}  // namespace gantry::test
