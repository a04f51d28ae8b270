#pragma once
// A whole server without a network: the real sessions, router, guard and API over a System with a fake back end, fed
// from memory. What a client could make it do to the outside (name look-ups, sources, files) stays inside.
#include <memory>
#include <string>
#include <string_view>

namespace gantry::server::fuzz {

class HttpHarness {
 public:
  HttpHarness();
  ~HttpHarness();
  HttpHarness(const HttpHarness&) = delete;
  HttpHarness& operator=(const HttpHarness&) = delete;

  /// One connection on which `bytes` come and the client closes its side. Aborts where the server does not end the
  /// connection in time. @return all that the server said
  std::string talk(std::string_view bytes);
  /// "Authorization: Bearer …\r\n" of an operator.
  [[nodiscard]] const std::string& authorization() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::server::fuzz
