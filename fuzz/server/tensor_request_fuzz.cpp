// The body of an inference request: the first two bytes are the length of its JSON, the rest is the body. Pictures lie
// inside the body, and their sizes are what their shapes say.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/tensor_request.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::server;
  if (size < 2) return 0;
  const std::size_t length = std::size_t{data[0]} | std::size_t{data[1]} << 8U;
  const std::string_view body{reinterpret_cast<const char*>(data) + 2, size - 2};
  const auto request = parse_tensor_request(body, length == 0 ? "" : std::to_string(length));
  if (!request) return request.error().message.empty() ? (std::abort(), 0) : 0;
  std::size_t sum = 0;
  for (const auto& picture : request->pictures) {
    if (picture.width > 0 && picture.bytes.size() != std::size_t{3} * static_cast<std::size_t>(picture.width) *
                                                         static_cast<std::size_t>(picture.height))
      std::abort();
    for (const std::uint8_t byte : picture.bytes) sum += byte;  // every byte can be read
  }
  return sum == ~std::size_t{0} ? 1 : 0;
}
