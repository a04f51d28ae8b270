#pragma once
// What a handler sees of HTTP: plain requests and responses, and streams that outlive them. No Boost here.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gantry/server/principal.hpp"

namespace gantry::server {

/// One request, complete with its body. Names of header fields are lower-case.
struct Request {
  std::string method;                          ///< "GET", "PUT", …
  std::string path;                            ///< decoded, without query: "/api/v1/cameras/gate-1"
  std::map<std::string, std::string> query;    ///< decoded; of repeated names the last
  std::map<std::string, std::string> headers;  ///< of repeated names joined with ", "
  std::map<std::string, std::string> params;   ///< what the route's {placeholders} matched
  std::string body;
  std::string peer;     ///< address of the client, for the audit log
  Principal principal;  ///< who asks; anonymous only on routes that allow it

  [[nodiscard]] std::string_view header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view{} : std::string_view{found->second};
  }
};

/// Bytes or messages that come over time: MJPEG, server-sent events, WebSocket messages.
/// The server calls everything from one thread; the producer may call the wake-up function from any thread.
class Stream {
 public:
  enum class Poll {
    kData,  ///< `out` holds the next chunk or message
    kWait,  ///< nothing yet; the wake-up function will be called
    kEnd,   ///< nothing more will come
  };
  virtual ~Stream() = default;
  /// Replaces `out`. Must not block.
  [[nodiscard]] virtual Poll poll(std::string& out) = 0;
  /// Called once, before the first poll. `wake` may be called from any thread, also after the stream is gone.
  virtual void on_ready(std::function<void()> wake) = 0;
  /// A message from a WebSocket client; other clients have none.
  virtual void on_message(std::string_view) {}
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  ///< beside content-type and content-length
  std::string body;
  std::shared_ptr<const std::string> shared_body;  ///< instead of `body`: the same bytes for many clients
  std::shared_ptr<Stream> stream;                  ///< instead of a body: chunked, or messages where `websocket`
  bool websocket = false;                          ///< accept the client's upgrade; needs `stream`
};

/// Answers a request once, from any thread, at once or later. Must not be called twice.
using Responder = std::function<void(Response)>;

/// RFC 9457 problem details; `detail` says what to change. `error` says it once more, for clients of the Open Inference
/// Protocol, which read nothing else.
[[nodiscard]] Response problem(int status, std::string_view title, std::string_view detail);
/// `body` is JSON text already.
[[nodiscard]] Response json(int status, std::string body);
/// "Not Found" for 404; "" for a number that has no name.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace gantry::server
