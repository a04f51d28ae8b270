// gantry token create|list|revoke, gantry cert self-signed, gantry metrics
#include <charconv>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/metrics/table.hpp"
#include "gantry/server/certificate.hpp"
#include "gantry/server/tokens.hpp"

namespace gantry::cli {
namespace {

constexpr const char* kTokenFile = "gantry-tokens.json";

/// "90d", "12h", "30m", "45s"; "never" is no lifetime.
std::optional<std::chrono::seconds> parse_lifetime(const std::string& text) {
  if (text == "never") return std::nullopt;
  long long count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string unit(end, text.data() + text.size());
  const long long seconds = unit == "d" ? 86400 : unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" ? 1 : 0;
  if (error != std::errc{} || count <= 0 || seconds == 0 || count > 100LL * 365 * 86400 / seconds)
    throw ConfigError("--expires: '" + text + "' is no time; write 90d, 12h, 30m or never");
  return std::chrono::seconds{count * seconds};
}

std::string date(server::WallTime time) {
  if (time == server::WallTime::max()) return "never";
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

void add_token(CLI::App& app) {
  auto* token = app.add_subcommand("token", "Make, list and revoke the tokens that let clients in");
  token->require_subcommand(1);
  token->footer("Example:\n  gantry token create --name wall --role viewer --expires 90d");
  auto file = std::make_shared<std::string>(kTokenFile);
  const auto with_file = [file](CLI::App* command) {
    command->add_option("--file", *file, "The token file that the server reads (server.tokens)")->capture_default_str();
  };

  auto* create = token->add_subcommand("create", "Make a token and print it, once");
  auto name = std::make_shared<std::string>();
  auto role = std::make_shared<std::string>("viewer");
  auto expires = std::make_shared<std::string>("90d");
  create->add_option("--name", *name, "Whose it is; stands in the audit log")->required();
  create->add_option("--role", *role, "viewer, operator or admin")->capture_default_str();
  create->add_option("--expires", *expires, "90d, 12h, 30m or never")->capture_default_str();
  create->footer("Example:\n  gantry token create --name wall --role viewer --expires 90d");
  with_file(create);
  create->callback([=] {
    const auto parsed = server::parse_role(*role);
    if (!parsed) throw ConfigError("--role: '" + *role + "' is none of viewer, operator, admin");
    server::TokenStore store(*file);
    const auto made = store.create(*name, *parsed, parse_lifetime(*expires));
    if (!made) throw ConfigError(made.error().message);
    std::printf("%s\n", made.value().c_str());
  });

  auto* list = token->add_subcommand("list", "List tokens, without their secrets");
  auto json = std::make_shared<bool>(false);
  list->add_flag("--json", *json, "Print the list as JSON");
  list->footer("Example:\n  gantry token list");
  with_file(list);
  list->callback([=] {
    auto rows = nlohmann::json::array();
    for (const auto& info : server::TokenStore(*file).list()) {
      if (*json)
        rows.push_back({{"id", info.id},
                        {"name", info.name},
                        {"role", to_string(info.role)},
                        {"created", date(info.created)},
                        {"expires", date(info.expires)}});
      else
        std::printf("%s  %-8s  expires %-20s  %s\n", info.id.c_str(), to_string(info.role), date(info.expires).c_str(),
                    info.name.c_str());
    }
    if (*json) std::printf("%s\n", rows.dump(2).c_str());
  });

  auto* revoke = token->add_subcommand("revoke", "Take a token back; its sessions and streams end");
  auto id = std::make_shared<std::string>();
  revoke->add_option("ID", *id, "As `gantry token list` shows it")->required();
  revoke->footer("Example:\n  gantry token revoke 1f8a22c0");
  with_file(revoke);
  revoke->callback([=] {
    const auto revoked = server::TokenStore(*file).revoke(*id);
    if (!revoked) throw ConfigError(revoked.error().message);
  });
}

void add_certificate(CLI::App& app) {
  auto* cert = app.add_subcommand("cert", "Make a certificate for HTTPS");
  cert->require_subcommand(1);
  cert->footer("Example:\n  gantry cert self-signed --name gantry.example.org --name 10.0.0.5");
  auto* self_signed =
      cert->add_subcommand("self-signed", "A certificate that signs itself, for a closed network or a first try");
  auto names = std::make_shared<std::vector<std::string>>(std::vector<std::string>{"localhost", "127.0.0.1"});
  auto days = std::make_shared<int>(397);
  auto out = std::make_shared<std::string>("gantry-cert.pem");
  auto key = std::make_shared<std::string>("gantry-key.pem");
  self_signed->add_option("--name", *names, "Host names and addresses it is for")->capture_default_str();
  self_signed->add_option("--days", *days, "How long it holds")->check(CLI::Range(1, 3650))->capture_default_str();
  self_signed->add_option("--out", *out, "The certificate's file")->capture_default_str();
  self_signed->add_option("--key", *key, "The key's file")->capture_default_str();
  self_signed->footer("Example:\n  gantry cert self-signed --name gantry.example.org --name 10.0.0.5");
  self_signed->callback([=] {
    server::write_self_signed(*names, std::chrono::days{*days}, *out, *key);
    std::printf("%s and %s written; name them in server.tls.certificate and server.tls.key\n", out->c_str(),
                key->c_str());
  });
}

}  // namespace

void add_server_admin(CLI::App& app, int& /*exit_code*/) {
  add_token(app);
  add_certificate(app);
  auto* metrics = app.add_subcommand("metrics", "Print every metric that the server exposes (docs/metrics.md)");
  metrics->footer("Example:\n  gantry metrics");
  metrics->callback([] { std::fputs(metrics::reference_markdown().c_str(), stdout); });
}

}  // namespace gantry::cli
