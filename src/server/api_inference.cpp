// The routes of the Open Inference Protocol.
#include "gantry/sinks/frame_result.hpp"
#include "server/api_impl.hpp"
#include "server/tensor_request.hpp"

namespace gantry::server {

void Api::Impl::add_inference(Router& router) {
  const auto add = [&](const char* method, const char* pattern, Role role, std::size_t most, Handler handler) {
    router.add(
        {.method = method, .pattern = pattern, .role = role, .max_body_bytes = most, .handler = std::move(handler)});
  };
  constexpr std::size_t kNoBody = 1024;
  // A handler for the one model there is.
  const auto of_model = [this](Handler handler) -> Handler {
    return [this, handler = std::move(handler)](Request& request, const Responder& respond) {
      const auto& model = request.params["model"];
      if (!inference_.knows(model))
        return respond(
            problem(404, "Not Found", "there is no model " + model + "; this server runs " + system_.model().name));
      handler(request, respond);
    };
  };
  add("GET", "/v2/health/live", Role::kNone, kNoBody,
      [](Request&, const Responder& respond) { respond(server::json(200, R"({"live":true})")); });
  add("GET", "/v2/health/ready", Role::kNone, kNoBody, [this](Request&, const Responder& respond) {
    const bool good = not_ready_because().empty();
    respond(server::json(good ? 200 : 503, good ? R"({"ready":true})" : R"({"ready":false})"));
  });
  add("GET", "/v2", Role::kViewer, kNoBody,
      [this](Request&, const Responder& respond) { respond(inference_.server_metadata(options_.version)); });
  add("GET", "/v2/models/{model}", Role::kViewer, kNoBody,
      of_model([this](Request&, const Responder& respond) { respond(inference_.model_metadata()); }));
  add("GET", "/v2/models/{model}/ready", Role::kViewer, kNoBody,
      of_model([this](Request& request, const Responder& respond) {
        const bool good = not_ready_because().empty();
        respond(server::json(good ? 200 : 503,
                             R"({"name":")" + request.params["model"] + R"(","ready":)" + (good ? "true}" : "false}")));
      }));
  add("POST", "/v2/models/{model}/infer", Role::kOperator, kMostTensorBody,
      of_model([this](Request& request, const Responder& respond) { inference_.infer(request, respond); }));
}

}  // namespace gantry::server
