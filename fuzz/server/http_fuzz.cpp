// What a client may send, byte by byte: the real session, router, guard and handlers answer it and live. An odd first
// byte puts a valid token into the first request, so that handlers are reached too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http_harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static gantry::server::fuzz::HttpHarness harness;
  if (size < 1) return 0;
  std::string text{reinterpret_cast<const char*>(data) + 1, size - 1};
  const auto line = text.find("\r\n");
  if (data[0] % 2 == 1 && line != std::string::npos) text.insert(line + 2, harness.authorization());
  const auto heard = harness.talk(text);
  if (!heard.empty() && !heard.starts_with("HTTP/1.1 ")) std::abort();
  return 0;
}
