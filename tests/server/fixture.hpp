#pragma once
// A server on a free loopback port with one token a role and a few routes.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "gantry/server/http_server.hpp"
#include "server/raw_client.hpp"

namespace gantry::server {

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() : folder_(make_folder()), tokens_(folder_ / "tokens.json") {
    viewer_ = *tokens_.create("viewer", Role::kViewer, std::nullopt);
    operator_ = *tokens_.create("operator", Role::kOperator, std::nullopt);
  }
  ~HttpServerTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(HttpServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<HttpServer>(std::move(options), std::move(router_), tokens_);
    server_->start();
  }
  void route(std::string method, std::string pattern, Role role, Handler handler, std::size_t max_body = 64 * 1024) {
    router_.add({std::move(method), std::move(pattern), role, max_body, std::move(handler), false});
  }
  static Handler text(std::string body) {
    return [body](Request&, const Responder& respond) { respond(json(200, body)); };
  }
  std::string ask(const std::string& method, const std::string& path, const std::string& headers = "",
                  const std::string& body = "") {
    RawClient client(server_->port());
    std::string request = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(request + "\r\n" + body);
    return client.response();
  }
  static std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

  std::filesystem::path folder_;
  TokenStore tokens_;
  Router router_;
  std::unique_ptr<HttpServer> server_;
  std::string viewer_, operator_;

 private:
  static std::filesystem::path make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-server-XXXXXX").string();
    return ::mkdtemp(name.data());
  }
};

}  // namespace gantry::server
