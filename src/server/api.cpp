#include "gantry/server/api.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include <nlohmann/json.hpp>

#include "gantry/metrics/exposition.hpp"
#include "server/api_impl.hpp"
#include "server/assets.hpp"
#include "server/guard.hpp"
#include "server/scrape.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;

const char* name_of(Phase phase) {
  return phase == Phase::kStarting ? "starting" : phase == Phase::kRunning ? "running" : "stopping";
}

std::string query(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string{} : found->second;
}
bool flag(const Request& request, const std::string& name) {
  const auto value = query(request, name);
  return value == "1" || value == "true";
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::optional<std::uint64_t> whole(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional{value}
                                                                                   : std::nullopt;
}

std::string date(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Response session_json(const Principal& who, const std::string& csrf) {
  Json out = {{"name", who.name}, {"role", to_string(who.role)}, {"csrf", csrf}, {"expires", nullptr}};
  if (who.expires != WallTime::max()) out["expires"] = date(who.expires);
  return server::json(200, out.dump());
}

/// All that the page needs comes from here; nothing else may be fetched, framed or run.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

}  // namespace

Api::Impl::Impl(app::System& system, CameraState& state, TokenStore& tokens, const Clock& clock, ApiOptions options)
    : system_(system),
      state_(state),
      tokens_(tokens),
      clock_(clock),
      options_(std::move(options)),
      gate_(options_.resolve ? media::SourceGate{options_.allow_sources, options_.resolve, {}}
                             : media::SourceGate{options_.allow_sources}),
      started_at_(clock.now()),
      observer_(system, clock,
                [&tokens] {
                  // A token file that somebody has broken keeps the tokens that were good.
                  try {
                    tokens.refresh();
                  } catch (const std::exception&) {
                    return;
                  }
                }),
      inference_(system, clock) {}

void Api::Impl::add_routes(Router& router) {
  add_health(router);
  add_sessions(router);
  add_looks(router);
  add_changes(router);
  add_inference(router);
  add_probe(router);
  add_page(router);
}

void Api::Impl::add_health(Router& router) {
  const auto answer = [](bool good, const char* status) {
    return server::json(good ? 200 : 503, std::string(R"({"status":")") + status + "\"}");
  };
  router.add({.method = "GET",
              .pattern = "/health/live",
              .role = Role::kNone,
              .handler = [answer](Request&, const Responder& respond) { respond(answer(true, "live")); }});
  router.add({.method = "GET",
              .pattern = "/health/startup",
              .role = Role::kNone,
              .handler = [this, answer](Request&, const Responder& respond) {
                respond(answer(phase_ != Phase::kStarting, name_of(phase_)));
              }});
  router.add({.method = "GET",
              .pattern = "/health/ready",
              .role = Role::kNone,
              .handler = [this](Request&, const Responder& respond) { respond(ready()); }});
}

std::vector<std::string> Api::Impl::not_ready_because() const {
  std::vector<std::string> reasons;
  if (phase_ != Phase::kRunning) reasons.emplace_back(std::string("the server is ") + name_of(phase_));
  const auto report = system_.scheduler_report();
  const bool works = std::any_of(report.devices.begin(), report.devices.end(), [](const auto& device) {
    return device.state == scheduler::DeviceState::kUp && device.breaker != "open";
  });
  if (!works) reasons.emplace_back("no device takes work");
  if (report.degrade_step >= 4)
    reasons.emplace_back("only urgent frames are taken: " + std::string(report.degrade_reason));
  return reasons;
}

Response Api::Impl::ready() const {
  const auto reasons = not_ready_because();
  const bool good = reasons.empty();
  // One that has failed does not make the server unready while others work; who watches sees it here.
  auto devices = Json::object();
  const auto metrics = system_.scheduler_metrics();
  for (const auto& device : system_.scheduler_report().devices)
    if (device.id < metrics.devices.size())
      devices[metrics.devices[device.id].name] =
          device.breaker == "open" ? "breaker open" : scheduler::to_string(device.state);
  return server::json(
      good ? 200 : 503,
      Json{{"status", good ? "ready" : "not ready"}, {"reasons", reasons}, {"devices", devices}}.dump());
}

void Api::Impl::add_sessions(Router& router) {
  // The token comes as for every request, so that wrong ones count against their sender.
  router.add({.method = "POST",
              .pattern = "/api/v1/session",
              .max_body_bytes = 1024,
              .handler = [this](Request& request, const Responder& respond) {
                if (request.principal.by_cookie)
                  return respond(problem(400, "Bad Request", "send the token as Authorization: Bearer TOKEN"));
                const auto session = tokens_.open_session(request.principal);
                Response response = session_json(request.principal, session.csrf);
                response.headers.emplace_back("Set-Cookie", std::string(kSessionCookie) + "=" + session.cookie +
                                                                "; Path=/; HttpOnly; SameSite=Strict" +
                                                                (options_.tls ? "; Secure" : ""));
                respond(std::move(response));
              }});
  router.add({.method = "GET", .pattern = "/api/v1/session", .handler = [](Request& request, const Responder& respond) {
                respond(session_json(request.principal, request.principal.csrf));
              }});
  router.add({.method = "DELETE",
              .pattern = "/api/v1/session",
              .max_body_bytes = 1024,
              .handler = [this](Request& request, const Responder& respond) {
                tokens_.close_session(cookie_value(request.header("cookie"), kSessionCookie));
                Response response;
                response.status = 204;
                response.headers.emplace_back(
                    "Set-Cookie", std::string(kSessionCookie) + "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
                respond(std::move(response));
              }});
}

void Api::Impl::add_looks(Router& router) {
  const auto get = [&router](const char* pattern, Handler handler) {
    router.add({.method = "GET", .pattern = pattern, .handler = std::move(handler)});
  };
  get("/metrics", [this](Request&, const Responder& respond) { respond(metrics()); });
  get("/api/v1/system", [this](Request&, const Responder& respond) { respond(system_view()); });
  get("/api/v1/load", [this](Request&, const Responder& respond) { respond(load_view()); });
  get("/api/v1/cameras", [this](Request&, const Responder& respond) { respond(list_cameras()); });
  get("/api/v1/cameras/{id}", [this](Request& request, const Responder& respond) {
    respond(show_camera(request.params["id"], 200, camera_json));
  });
  get("/api/v1/cameras/{id}/stats", [this](Request& request, const Responder& respond) {
    respond(show_camera(request.params["id"], 200, stats_json));
  });
  get("/api/v1/cameras/{id}/snapshot.jpg", [this](Request& request, const Responder& respond) {
    const auto& id = request.params["id"];
    observer_.pictures()->newest(id, flag(request, "boxes"), [respond](Result<Picture> picture) {
      if (!picture) {
        const bool none = picture.error().code == ErrorCode::kNotFound;
        return respond(none ? problem(404, "Not Found", picture.error().message)
                            : problem(503, "Service Unavailable", picture.error().message));
      }
      Response response;
      if (!picture->jpeg) {  // not yet: no fault of who asks
        response.status = 204;
        return respond(std::move(response));
      }
      response.content_type = "image/jpeg";
      response.headers.emplace_back("X-Frame-Seq", std::to_string(picture->seq));
      response.shared_body = picture->jpeg;
      respond(std::move(response));
    });
  });
  get("/api/v1/cameras/{id}/live.mjpg", [this](Request& request, const Responder& respond) {
    const auto& id = request.params["id"];
    if (!system_.camera(id)) return respond(problem(404, "Not Found", "there is no enabled camera " + id));
    Response response;
    response.content_type = PictureBook::kLiveType;
    response.stream = observer_.pictures()->live(id, flag(request, "boxes"));
    respond(std::move(response));
  });
  router.add({.method = "GET",
              .pattern = "/api/v1/events",
              .handler = [this](Request& request, const Responder& respond) { respond(events(request)); },
              .websocket = true});
}

HttpServerStats Api::Impl::http_stats() const {
  const HttpServer* server = server_.load();
  return server != nullptr ? server->stats() : HttpServerStats{};
}

Response Api::Impl::metrics() const {
  Response response;
  response.content_type = std::string(metrics::Exposition::kContentType);
  response.body = scrape(system_, {.version = options_.version,
                                   .stages = &observer_.stages(),
                                   .last_captured = observer_.last_captured(),
                                   .device_utilization = observer_.utilization(),
                                   .gpus = observer_.gpus(),
                                   .config = config_reading(),
                                   .http = http_stats(),
                                   .events_missed = observer_.events()->missed(),
                                   .started_at = started_wall_,
                                   .now = clock_.now()});
  return response;
}

Response Api::Impl::system_view() const {
  return server::json(200,
                      system_json(system_, {.version = options_.version,
                                            .phase = name_of(phase_),
                                            .uptime = std::chrono::duration<double>(clock_.now() - started_at_).count(),
                                            .device_utilization = observer_.utilization(),
                                            .gpus = observer_.gpus(),
                                            .config = config_reading(),
                                            .http = http_stats(),
                                            .events_missed = observer_.events()->missed(),
                                            .events_bytes = observer_.events()->bytes()}));
}

std::optional<ConfigReading> Api::Impl::config_reading() const {
  return options_.config_reading ? std::optional{options_.config_reading()} : std::nullopt;
}

Response Api::Impl::load_view() const {
  const auto day = [this](Duration ahead) {
    const std::time_t then = std::chrono::system_clock::to_time_t(
        std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(ahead));
    std::tm local{};
    localtime_r(&then, &local);
    return system_.demand_at({local.tm_wday, local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec});
  };
  return server::json(200, load_json(observer_.load(), clock_.now(), day));
}

Response Api::Impl::list_cameras() const {
  const auto config = system_.config();
  const auto statuses = system_.cameras();
  const auto captured = observer_.last_captured();
  const auto now = clock_.now();
  std::vector<CameraView> views;
  for (const auto& [id, camera] : config.cameras) {
    CameraView view{id, camera, nullptr, observer_.rates(id), -1};
    for (const auto& status : statuses)
      if (status.id == id) view.status = &status;
    if (const auto last = captured.find(id); last != captured.end())
      view.last_frame_age = std::chrono::duration<double>(now - last->second).count();
    views.push_back(std::move(view));
  }
  return server::json(200, cameras_json(views, now));
}

template <typename Show>
Response Api::Impl::show_camera(const std::string& id, int status, Show show) const {
  const auto config = system_.config();
  const auto found = config.cameras.find(id);
  if (found == config.cameras.end()) return problem(404, "Not Found", "there is no camera " + id);
  const auto reading = system_.camera(id);
  const auto captured = observer_.last_captured();
  const auto now = clock_.now();
  CameraView view{id, found->second, reading ? &*reading : nullptr, observer_.rates(id), -1};
  if (const auto last = captured.find(id); last != captured.end())
    view.last_frame_age = std::chrono::duration<double>(now - last->second).count();
  return server::json(status, show(view, now));
}

Response Api::Impl::camera(const std::string& id, int status) const {
  return show_camera(id, status, camera_json);
}

Response Api::Impl::events(const Request& request) {
  EventFilter filter;
  for (auto& id : words(query(request, "camera"))) filter.cameras.insert(std::move(id));
  for (auto& type : words(query(request, "type"))) filter.types.insert(std::move(type));
  const auto& names = system_.model().class_names;
  for (const auto& name : words(query(request, "class"))) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return problem(400, "Bad Request", "class: the model has no class " + name);
    filter.classes.insert(static_cast<int>(found - names.begin()));
  }
  std::string after = query(request, "after");
  if (after.empty()) after = std::string(request.header("last-event-id"));
  const auto cursor = whole(after);
  if (!after.empty() && !cursor) return problem(400, "Bad Request", "after: an event's id is expected");

  Response response;
  response.websocket = !request.header("upgrade").empty();
  response.content_type = "text/event-stream";
  response.stream = observer_.events()->reader(
      std::move(filter), cursor, response.websocket ? EventLog::Form::kWebSocket : EventLog::Form::kServerSent);
  return response;
}

void Api::Impl::add_page(Router& router) {
  for (const Asset& asset : assets()) {
    const bool description = asset.name == "openapi.json";
    const std::string path = asset.name == "index.html" ? "/"
                             : description              ? "/api/v1/openapi.json"
                                                        : "/" + std::string(asset.name);
    const auto body = std::make_shared<const std::string>(asset.bytes);
    router.add({.method = "GET",
                .pattern = path,
                .role = Role::kNone,
                .handler = [asset, body](Request&, const Responder& respond) {
                  Response response;
                  response.content_type = std::string(asset.type);
                  response.headers = {{"Content-Security-Policy", kPolicy}, {"Cache-Control", "no-cache"}};
                  response.shared_body = body;
                  respond(std::move(response));
                }});
  }
}

Api::Api(app::System& system, CameraState& state, TokenStore& tokens, const Clock& clock, ApiOptions options)
    : impl_(std::make_unique<Impl>(system, state, tokens, clock, std::move(options))) {}
Api::~Api() = default;
void Api::add_routes(Router& router) {
  impl_->add_routes(router);
}
void Api::set_phase(Phase phase) noexcept {
  impl_->set_phase(phase);
}
void Api::watch(const HttpServer* server) noexcept {
  impl_->watch(server);
}

}  // namespace gantry::server
