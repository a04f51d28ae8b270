// POST /api/v1/probe: what is at a source, before a camera is made of it. On a worker of its own, because a camera that
// does not answer takes seconds.
#include <openssl/evp.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "gantry/media/url.hpp"
#include "server/api_impl.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;

constexpr int kUsualLimitMs = 8000;
constexpr int kLeastLimitMs = 500;
constexpr int kMostLimitMs = 15'000;
constexpr std::size_t kLongestSource = 4096;

std::string base64(const std::vector<std::uint8_t>& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  out.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), static_cast<int>(bytes.size()))));
  return out;
}

Response unprocessable(const std::string& why) {
  return problem(422, "Unprocessable Content", why);
}

std::string finding_json(const ProbeFinding& found) {
  return Json{{"ok", true},
              {"codec", found.codec},
              {"width", found.width},
              {"height", found.height},
              {"fps", std::round(found.fps * 100) / 100},
              {"fps_measured", found.fps_measured},
              {"first_picture_ms", std::chrono::duration_cast<std::chrono::milliseconds>(found.first_picture).count()},
              {"picture_jpeg", base64(found.jpeg)}}
      .dump();
}

}  // namespace

void Api::Impl::add_probe(Router& router) {
  router.add({.method = "POST",
              .pattern = "/api/v1/probe",
              .role = Role::kOperator,
              .handler = [this](Request& request, const Responder& respond) {
                const auto kept = std::make_shared<Request>(request);
                const bool taken = probes_.post([this, kept, respond] {
                  try {
                    respond(probe(*kept));
                  } catch (const std::exception& error) {
                    if (options_.log) options_.log(app::Severity::kError, std::string("probe: ") + error.what());
                    respond(problem(500, "Internal Server Error", "the probe failed; the server's log says why"));
                  }
                });
                if (!taken) respond(problem(503, "Service Unavailable", "other sources are being tested; try again"));
              }});
}

Response Api::Impl::probe(const Request& request) {
  const Json body = Json::parse(request.body, nullptr, false);
  if (!body.is_object()) return problem(400, "Bad Request", "a JSON object is expected as the body");
  for (const auto& [key, value] : body.items())
    if (key != "source" && key != "transport" && key != "timeout_ms" && key != "camera")
      return unprocessable("source, transport, timeout_ms and camera are known here, not " + key.substr(0, 80));
  const Json given = body.value("source", Json{});
  if (!given.is_string() || given.get_ref<const std::string&>().empty() ||
      given.get_ref<const std::string&>().size() > kLongestSource)
    return unprocessable("source: the address of a camera is expected");
  const Json transport = body.value("transport", Json("tcp"));
  if (transport != "tcp" && transport != "udp") return unprocessable("transport: tcp or udp");
  const Json limit = body.value("timeout_ms", Json(kUsualLimitMs));
  if (!limit.is_number_integer() || limit < kLeastLimitMs || limit > kMostLimitMs)
    return unprocessable("timeout_ms: a whole number, 500 to 15000");
  const Json camera = body.value("camera", Json(""));
  if (!camera.is_string()) return unprocessable("camera: an id is expected");

  std::string source = given;
  std::shared_ptr<const media::SourceGate> gate;
  // Clients know the source of a camera only as it is shown, without its password.
  const auto config = system_.config();
  const auto known = config.cameras.find(camera.get<std::string>());
  if (known != config.cameras.end() && source == media::redact_url(known->second.source)) {
    source = known->second.source;
    if (known->second.from_client) gate = std::make_shared<const media::SourceGate>(gate_);
  } else if (const auto passage = gate_.pass(source); !passage) {
    return unprocessable(passage.error().message);
  } else {
    gate = std::make_shared<const media::SourceGate>(gate_);  // checked again where it connects
  }
  audit(request, "tested the source " + media::redact_url(source));
  const auto found = prober_.probe(source, gate, transport == "udp" ? media::Transport::kUdp : media::Transport::kTcp,
                                   std::chrono::milliseconds{limit.get<int>()});
  if (!found)
    return server::json(200, Json{{"ok", false}, {"error", found.error().message}}.dump(
                                 -1, ' ', false, Json::error_handler_t::replace));
  return server::json(200, finding_json(*found));
}

}  // namespace gantry::server
