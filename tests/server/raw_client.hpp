#pragma once
// A client that sends exactly the bytes it is told to, for tests of what a server does with them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::server {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() {
    if (socket_ >= 0) ::close(socket_);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int descriptor() const { return socket_; }
  bool send(std::string_view bytes) {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// Reads until `until` is in what has come, the other side closes, or the time is over.
  std::string read(std::string_view until, std::chrono::milliseconds limit = std::chrono::seconds{20}) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (received_.find(until) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd waiting{socket_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) break;
      char buffer[4096];
      const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
      if (got <= 0) {
        closed_ = true;
        break;
      }
      received_.append(buffer, static_cast<std::size_t>(got));
    }
    return received_;
  }
  /// One response with a Content-Length: head and body; what follows stays for the next call.
  std::string response() {
    read("\r\n\r\n");
    const auto head = received_.find("\r\n\r\n");
    if (head == std::string::npos) return std::exchange(received_, {});
    std::size_t length = 0;
    const auto field = received_.find("\r\nContent-Length: ");
    if (field < head) length = std::stoul(received_.substr(field + 18));
    const std::size_t total = head + 4 + length;
    while (received_.size() < total && !closed_) {
      const auto before = received_.size();
      read("\x01never\x01", std::chrono::milliseconds{50});
      if (received_.size() == before && closed_) break;
    }
    std::string out = received_.substr(0, total);
    received_.erase(0, total);
    return out;
  }
  /// Whether the other side closes within `limit`.
  bool closes(std::chrono::milliseconds limit = std::chrono::seconds{20}) {
    read("\x01never\x01", limit);
    return closed_;
  }

 private:
  int socket_;
  bool connected_ = false;
  bool closed_ = false;
  std::string received_;
};

inline int status_of(const std::string& response) {
  return response.starts_with("HTTP/1.1 ") ? std::stoi(response.substr(9, 3)) : 0;
}

}  // namespace gantry::server
