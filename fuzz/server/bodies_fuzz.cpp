// Every JSON body of the API: the first byte chooses the operation, the rest is its body, sent as a valid request of an
// operator. No body is a 500.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http_harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static gantry::server::fuzz::HttpHarness harness;
  static constexpr std::array<const char*, 8> kOperations{
      "PUT /api/v1/cameras/gate",        "PUT /api/v1/cameras/new",        "PATCH /api/v1/cameras/gate",
      "POST /api/v1/cameras/gate/boost", "POST /api/v1/devices/cpu/drain", "POST /api/v1/session",
      "POST /v2/models/fake/infer",      "POST /v2/models/fake/infer"};
  if (size < 3) return 0;
  const std::size_t operation = data[0] % kOperations.size();
  std::string head = std::string(kOperations[operation]) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  std::size_t at = 1;
  if (operation == 7) {  // with binary tensors
    head += "Inference-Header-Content-Length: " + std::to_string(data[1] | data[2] << 8) + "\r\n";
    at = 3;
  }
  const std::string body{reinterpret_cast<const char*>(data) + at, size - at};
  const auto heard = harness.talk(head + harness.authorization() + "Content-Length: " + std::to_string(body.size()) +
                                  "\r\n\r\n" + body);
  if (!heard.starts_with("HTTP/1.1 ") || heard.starts_with("HTTP/1.1 500")) std::abort();
  if (operation == 4)  // a drained device would leave later pictures waiting
    harness.talk("POST /api/v1/devices/cpu/drain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
                 harness.authorization() + "Content-Length: 18\r\n\r\n{\"draining\":false}");
  return 0;
}
