#pragma once
// tests/media/rtsp_server.py as a child that can be stopped, continued, killed and started again on its port.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace gantry::media::testing {

class RtspServer {
 public:
  explicit RtspServer(std::vector<std::string> arguments = {}) : arguments_(std::move(arguments)) { start(); }
  ~RtspServer() { kill(); }
  RtspServer(const RtspServer&) = delete;
  RtspServer& operator=(const RtspServer&) = delete;

  /// Starts (again) and waits until it listens; on its old port where it had one.
  void start() {
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) return;
    std::vector<std::string> words{"/usr/bin/python3", std::string(GANTRY_SOURCE_DIR) + "/tests/media/rtsp_server.py"};
    if (port_ != 0) words.insert(words.end(), {"--port", std::to_string(port_)});
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      dup2(out[1], STDOUT_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(out[1]);
    FILE* lines = fdopen(out[0], "r");
    char line[256] = {};
    if (fgets(line, sizeof line, lines) != nullptr) {
      if (std::strncmp(line, "port ", 5) == 0) port_ = std::atoi(line + 5);
      if (std::strncmp(line, "skip ", 5) == 0) missing_ = line + 5;
    }
    fclose(lines);
  }
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  [[nodiscard]] int port() const { return port_; }
  /// Why there is no server on this machine; empty where there is one.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  [[nodiscard]] std::string url(const std::string& path, const std::string& user = "") const {
    return "rtsp://" + (user.empty() ? "" : user + "@") + "127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  std::vector<std::string> arguments_;
  pid_t pid_ = 0;
  int port_ = 0;
  std::string missing_;
};

#define GANTRY_NEEDS_SERVER(server) \
  if (!(server).missing().empty()) GTEST_SKIP() << "needs GStreamer's RTSP server: " << (server).missing()

}  // namespace gantry::media::testing
