// What changes a running server: cameras, boosts, devices. Runs on the Api's worker, one change at a time, because
// taking a camera away waits for its last frame and checking a source asks the name server.
#include <nlohmann/json.hpp>

#include "gantry/core/errors.hpp"
#include "gantry/media/url.hpp"
#include "server/api_impl.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;

/// An object that is no deeper than any body here has to be, or nothing.
std::optional<Json> parse_object(const std::string& body) {
  constexpr int kDeepest = 4;
  bool deep = false;
  const auto guard = [&deep](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > kDeepest;
    return !deep;
  };
  Json parsed = Json::parse(body, guard, false);
  if (deep || !parsed.is_object()) return std::nullopt;
  return parsed;
}

Response not_json() {
  return problem(400, "Bad Request", "a JSON object is expected as the body");
}

Response from(const Error& error) {
  if (error.code == ErrorCode::kNotFound) return problem(404, "Not Found", error.message);
  if (error.code == ErrorCode::kCancelled) return problem(503, "Service Unavailable", error.message);
  return problem(422, "Unprocessable Content", error.message);
}

/// Clients send back what GET told them: status is not theirs, and a masked source means the one that is there.
void drop_what_is_shown(Json& body, const std::string& id, const config::CameraConfig* before) {
  body.erase("status");
  if (body.contains("id") && body["id"] == id) body.erase("id");
  if (before == nullptr || !body.contains("source") || !body["source"].is_string()) return;
  const std::string shown = media::redact_url(before->source);
  if (shown != before->source && body["source"] == shown) body.erase("source");
}

}  // namespace

void Api::Impl::add_changes(Router& router) {
  const auto add = [&](const char* method, const char* pattern, Response (Impl::*act)(const Request&),
                       Role role = Role::kOperator) {
    router.add({.method = method, .pattern = pattern, .role = role, .handler = later(act)});
  };
  add("PUT", "/api/v1/cameras/{id}", &Impl::put);
  add("PATCH", "/api/v1/cameras/{id}", &Impl::patch);
  add("DELETE", "/api/v1/cameras/{id}", &Impl::remove);
  add("POST", "/api/v1/cameras/{id}/boost", &Impl::boost);
  add("POST", "/api/v1/devices/{id}/drain", &Impl::drain);
  add("POST", "/api/v1/config/reload", &Impl::reload, Role::kAdmin);
}

Handler Api::Impl::later(Response (Impl::*act)(const Request&)) {
  return [this, act](Request& request, const Responder& respond) {
    const auto kept = std::make_shared<Request>(request);
    const bool taken = changes_.post([this, act, kept, respond] {
      try {
        respond((this->*act)(*kept));
      } catch (const StartupError& error) {  // a body that the key table refuses
        respond(problem(422, "Unprocessable Content", error.what()));
      } catch (const std::exception& error) {
        if (options_.log) options_.log(app::Severity::kError, kept->method + " " + kept->path + ": " + error.what());
        respond(problem(500, "Internal Server Error", "the change failed; the server's log says why"));
      }
    });
    if (!taken) respond(problem(503, "Service Unavailable", "too many changes wait; try again"));
  };
}

Response Api::Impl::put(const Request& request) {
  const std::string& id = request.params.at("id");
  auto body = parse_object(request.body);
  if (!body) return not_json();
  const auto turn = state_.turn();
  const auto config = system_.config();
  const auto found = config.cameras.find(id);
  const auto* before = found == config.cameras.end() ? nullptr : &found->second;
  drop_what_is_shown(*body, id, before);
  // A masked source that was sent back is left out of the body: put it back in, or the state file would lack it.
  const bool keep_source = before != nullptr && !body->contains("source");
  auto base = config.defaults;
  if (keep_source) {
    base.source = before->source;
    std::string text = before->source;
    for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) text.insert(at, 1, '$');
    (*body)["source"] = text;
  }
  const std::string text = body->dump();
  return take_over(request, before, CameraState::load(text, id, base, "body"), text, true);
}

Response Api::Impl::patch(const Request& request) {
  const std::string& id = request.params.at("id");
  auto body = parse_object(request.body);
  if (!body) return not_json();
  const auto turn = state_.turn();
  const auto config = system_.config();
  const auto found = config.cameras.find(id);
  if (found == config.cameras.end()) return problem(404, "Not Found", "there is no camera " + id);
  drop_what_is_shown(*body, id, &found->second);
  const std::string text = body->dump();
  return take_over(request, &found->second, CameraState::load(text, id, found->second, "body"), text, false);
}

Response Api::Impl::take_over(const Request& request, const config::CameraConfig* before, config::CameraConfig next,
                              const std::string& body, bool whole) {
  const std::string& id = request.params.at("id");
  if (before != nullptr && before->source == next.source)
    next.from_client = before->from_client;
  else if (const auto passage = gate_.pass(next.source); !passage)
    return problem(422, "Unprocessable Content", passage.error().message);
  const bool same = before != nullptr && *before == next;
  if (!same)
    if (auto done = before != nullptr ? system_.change_camera(id, next) : system_.add_camera(id, next); !done)
      return from(done.error());
  const auto kept = whole ? state_.put(id, body) : state_.patch(id, body);
  if (!kept) {
    // What a restart would forget must not seem to have worked.
    const auto undone = same                ? Result<void>{}
                        : before != nullptr ? system_.change_camera(id, *before)
                                            : system_.remove_camera(id);
    return problem(500, "Internal Server Error",
                   kept.error().message + (undone ? "; nothing has changed" : "; the change holds until the restart"));
  }
  audit(request, std::string(before != nullptr ? "changed" : "added") + " camera " + id);
  return camera(id, before != nullptr ? 200 : 201);
}

Response Api::Impl::remove(const Request& request) {
  const std::string& id = request.params.at("id");
  if (!config::is_camera_id(id)) return problem(422, "Unprocessable Content", "this is no camera's id");
  const auto turn = state_.turn();
  const auto config = system_.config();
  const auto found = config.cameras.find(id);
  Response gone;
  gone.status = 204;
  if (found == config.cameras.end()) return gone;  // idempotent: it is not there
  if (const auto kept = state_.remove(id); !kept) return problem(500, "Internal Server Error", kept.error().message);
  if (const auto done = system_.remove_camera(id); !done && done.error().code != ErrorCode::kNotFound)
    return from(done.error());
  audit(request, "removed camera " + id);
  return gone;
}

Response Api::Impl::boost(const Request& request) {
  const std::string& id = request.params.at("id");
  const auto body = request.body.empty() ? Json::object() : parse_object(request.body).value_or(Json{});
  if (!body.is_object()) return not_json();
  for (const auto& [key, value] : body.items())
    if (key != "priority" && key != "seconds")
      return problem(422, "Unprocessable Content", "priority and seconds are known here, not " + key);
  const Json name = body.value("priority", Json("urgent"));
  const Json seconds = body.value("seconds", Json(60));
  const auto priority = name.is_string() ? parse_priority(name.get<std::string>()) : std::nullopt;
  if (!priority) return problem(422, "Unprocessable Content", "priority: one of emergency, urgent, normal, background");
  constexpr double kShortest = 0.001, kLongest = 86'400;
  if (!seconds.is_number() || !(seconds.get<double>() >= kShortest) || seconds.get<double>() > kLongest)
    return problem(422, "Unprocessable Content", "seconds: a number from 0.001 to 86400");
  const auto duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds.get<double>()));
  if (const auto done = system_.boost(id, *priority, duration); !done) return from(done.error());
  audit(request, "boosted camera " + id + " to " + to_string(*priority));
  return server::json(200, Json{{"id", id}, {"priority", to_string(*priority)}, {"seconds", seconds}}.dump());
}

Response Api::Impl::drain(const Request& request) {
  const std::string& id = request.params.at("id");
  const auto body = request.body.empty() ? Json::object() : parse_object(request.body).value_or(Json{});
  if (!body.is_object()) return not_json();
  const Json wanted = body.value("draining", Json(true));
  if (!wanted.is_boolean()) return problem(422, "Unprocessable Content", "draining: true or false");
  if (const auto done = system_.drain(id, wanted.get<bool>()); !done) return from(done.error());
  audit(request, (wanted.get<bool>() ? "drains device " : "takes back device ") + id);
  return server::json(200, Json{{"id", id}, {"draining", wanted}}.dump());
}

Response Api::Impl::reload(const Request& request) {
  if (!options_.reload) return problem(409, "Conflict", "this server was started without a configuration file");
  audit(request, "has the configuration file read again");
  const auto changes = options_.reload();
  if (!changes) return problem(422, "Unprocessable Content", changes.error().message);
  return server::json(200, Json{{"added", changes->added},
                                {"removed", changes->removed},
                                {"adjusted", changes->adjusted},
                                {"reconnected", changes->reconnected},
                                {"at_once", changes->at_once},
                                {"at_start", changes->at_start}}
                               .dump());
}

void Api::Impl::audit(const Request& request, const std::string& what) const {
  if (options_.log)
    options_.log(app::Severity::kInfo, "audit: " + request.principal.name + " (" + request.principal.token_id + ", " +
                                           request.peer + ") " + what);
}

}  // namespace gantry::server
