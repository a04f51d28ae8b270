#include "server/tensor_request.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gantry::server {
namespace {

using Json = nlohmann::json;

/// What ends the reading of a request; caught in parse_tensor_request().
struct Wrong {
  std::string why;
};
[[noreturn]] void wrong(std::string why) {
  throw Wrong{std::move(why)};
}

constexpr int kMostSide = 16384;

std::string name_of(const Json& tensor, const char* where) {
  if (!tensor.is_object() || !tensor.contains("name") || !tensor["name"].is_string())
    wrong(std::string(where) + ": each is an object with a name");
  return tensor["name"].get<std::string>().substr(0, 80);
}

const Json& parameters_of(const Json& object, const std::string& where) {
  static const Json kNone = Json::object();
  const auto found = object.find("parameters");
  if (found == object.end()) return kNone;
  if (!found->is_object()) wrong(where + "parameters: an object is expected");
  return *found;
}

std::uint64_t whole(const Json& value, const std::string& what, std::uint64_t most) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
    wrong(what + ": a whole number from 0 to " + std::to_string(most) + " is expected");
  return value.get<std::uint64_t>();
}

double share(const Json& value, const std::string& what) {
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= 1))
    wrong(what + ": a number from 0 to 1 is expected");
  return value.get<double>();
}

bool truth(const Json& value, const std::string& what) {
  if (!value.is_boolean()) wrong(what + ": true or false is expected");
  return value.get<bool>();
}

/// Triton's levels: 0 is the default, 1 comes first.
Priority priority_of(std::uint64_t level) {
  return level == 0 ? Priority::kNormal : kAllPriorities[static_cast<std::size_t>(level - 1)];
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view binary) : text_(text), binary_(binary) {}

  TensorRequest read() {
    const Json root = Json::parse(text_, nullptr, false);
    if (!root.is_object())
      wrong("the body is no JSON object" +
            std::string(
                binary_.empty()
                    ? "; with tensors behind it the header Inference-Header-Content-Length says how long the JSON is"
                    : ""));
    if (root.contains("id")) {
      if (!root["id"].is_string() || root["id"].get_ref<const std::string&>().size() > 256)
        wrong("id: a string of at most 256 bytes is expected");
      request_.id = root["id"].get<std::string>();
    }
    read_parameters(parameters_of(root, ""));
    if (!root.contains("inputs") || !root["inputs"].is_array() || root["inputs"].size() != 1)
      wrong("inputs: one is expected, \"image\" or \"pixels\"");
    read_input(root["inputs"][0]);
    if (!binary_.empty()) wrong("the body is " + std::to_string(binary_.size()) + " bytes longer than its tensors");
    read_outputs(root);
    return std::move(request_);
  }

 private:
  void read_parameters(const Json& parameters) {
    for (const auto& [key, value] : parameters.items()) {
      constexpr std::uint64_t kLongest = 600'000'000;
      if (key == "priority")
        request_.priority = priority_of(whole(value, "parameters.priority", kPriorityCount));
      else if (key == "timeout") {
        const auto us = whole(value, "parameters.timeout (microseconds)", kLongest);
        if (us > 0) request_.timeout = std::chrono::microseconds{us};
      } else if (key == "binary_data_output")
        all_binary_ = truth(value, "parameters.binary_data_output");
      else if (key == "conf")
        request_.confidence = share(value, "parameters.conf");
      else if (key == "iou")
        request_.iou = share(value, "parameters.iou");
      else if (key == "max_det") {
        request_.max_detections = static_cast<int>(whole(value, "parameters.max_det", 10'000));
        if (*request_.max_detections == 0) wrong("parameters.max_det: at least 1 is expected");
      } else
        wrong("parameters." + key.substr(0, 80) +
              ": not known here; priority, timeout, binary_data_output, conf, iou and max_det are");
    }
  }

  std::vector<std::int64_t> shape_of(const Json& input) {
    if (!input.contains("shape") || !input["shape"].is_array() || input["shape"].size() > 4)
      wrong("inputs[0].shape: a list of at most four numbers is expected");
    std::vector<std::int64_t> shape;
    for (const auto& side : input["shape"])
      shape.push_back(static_cast<std::int64_t>(whole(side, "inputs[0].shape", 1U << 20U)));
    return shape;
  }

  /// The tensor's bytes from behind the JSON; nothing where they are in it.
  std::optional<std::string_view> binary_of(const Json& input) {
    const auto& parameters = parameters_of(input, "inputs[0].");
    if (!parameters.contains("binary_data_size")) return std::nullopt;
    if (input.contains("data")) wrong("inputs[0]: data and parameters.binary_data_size exclude each other");
    const auto size = whole(parameters["binary_data_size"], "inputs[0].parameters.binary_data_size", kMostTensorBody);
    if (size > binary_.size())
      wrong("inputs[0].parameters.binary_data_size: " + std::to_string(size) + " bytes are announced and " +
            std::to_string(binary_.size()) + " have come; is Inference-Header-Content-Length right?");
    const auto bytes = binary_.substr(0, size);
    binary_.remove_prefix(size);
    return bytes;
  }

  void read_input(const Json& input) {
    const auto name = name_of(input, "inputs");
    const Json type = input.value("datatype", Json{});
    const auto shape = shape_of(input);
    if (name == "image") {
      if (type != "BYTES") wrong("inputs[0].datatype: image is BYTES, coded pictures (JPEG, PNG, BMP, WebP, TIFF)");
      read_coded(input, shape);
    } else if (name == "pixels") {
      if (type != "UINT8") wrong("inputs[0].datatype: pixels are UINT8, rows of R, G, B");
      read_pixels(input, shape);
    } else {
      wrong("inputs[0].name: \"image\" (BYTES) or \"pixels\" (UINT8) is expected, not \"" + name + "\"");
    }
  }

  void read_coded(const Json& input, const std::vector<std::int64_t>& shape) {
    const bool fits =
        (shape.size() == 1 || (shape.size() == 2 && shape[1] == 1)) && shape[0] >= 1 && shape[0] <= kMostTensorPictures;
    if (!fits) wrong("inputs[0].shape: image is [N] or [N, 1] with N from 1 to " + std::to_string(kMostTensorPictures));
    auto bytes = binary_of(input);
    if (!bytes) wrong("inputs[0]: an image comes as binary data (parameters.binary_data_size), JSON can't hold it");
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      constexpr std::size_t kLength = 4;
      if (bytes->size() < kLength) wrong("inputs[0]: the binary data ends before its last picture");
      std::uint32_t size = 0;
      for (std::size_t b = 0; b < kLength; ++b)
        size |= std::uint32_t{static_cast<std::uint8_t>((*bytes)[b])} << (8U * b);
      bytes->remove_prefix(kLength);
      if (bytes->size() < size) wrong("inputs[0]: a picture of the binary data is said to be longer than what came");
      request_.pictures.push_back({as_bytes(bytes->substr(0, size)), 0, 0});
      bytes->remove_prefix(size);
    }
    if (!bytes->empty()) wrong("inputs[0]: the binary data goes on behind its last picture");
  }

  void read_pixels(const Json& input, const std::vector<std::int64_t>& shape) {
    const bool one = shape.size() == 3;
    if (!one && shape.size() != 4) wrong("inputs[0].shape: pixels are [height, width, 3] or [N, height, width, 3]");
    const std::int64_t count = one ? 1 : shape[0];
    const auto height = shape[shape.size() - 3], width = shape[shape.size() - 2];
    if (shape.back() != 3) wrong("inputs[0].shape: the last side is 3, the channels R, G, B");
    if (count < 1 || count > kMostTensorPictures)
      wrong("inputs[0].shape: 1 to " + std::to_string(kMostTensorPictures) + " pictures are taken");
    if (width < 1 || height < 1 || width > kMostSide || height > kMostSide || width * height > kMostTensorPixels)
      wrong("inputs[0].shape: sides are 1 to " + std::to_string(kMostSide) + ", and a picture has at most " +
            std::to_string(kMostTensorPixels) + " pixels");
    const auto each = static_cast<std::size_t>(width * height * 3);
    const auto total = each * static_cast<std::size_t>(count);
    std::span<const std::uint8_t> bytes;
    if (const auto binary = binary_of(input)) {
      bytes = as_bytes(*binary);
    } else {
      if (!input.contains("data") || !input["data"].is_array()) wrong("inputs[0]: data or binary data is missing");
      unpack(input["data"], 0);
      bytes = request_.unpacked;
    }
    if (bytes.size() != total)
      wrong("inputs[0]: the shape needs " + std::to_string(total) + " bytes and " + std::to_string(bytes.size()) +
            " have come");
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
      request_.pictures.push_back({bytes.subspan(i * each, each), static_cast<int>(width), static_cast<int>(height)});
  }

  /// Numbers in a row, or nested like the shape.
  void unpack(const Json& data, int depth) {
    for (const auto& item : data) {
      if (item.is_array() && depth < 3)
        unpack(item, depth + 1);
      else
        request_.unpacked.push_back(static_cast<std::uint8_t>(whole(item, "inputs[0].data", 255)));
    }
  }

  void read_outputs(const Json& root) {
    if (!root.contains("outputs")) {
      for (std::size_t i = 0; i < kOutputNames.size(); ++i)
        request_.outputs.push_back({static_cast<OutputTensor>(i), all_binary_});
      return;
    }
    const Json& outputs = root["outputs"];
    if (!outputs.is_array() || outputs.empty() || outputs.size() > kOutputNames.size())
      wrong("outputs: a list of num_detections, boxes, scores and classes is expected");
    for (const auto& output : outputs) {
      const auto name = name_of(output, "outputs");
      const auto at = std::find(kOutputNames.begin(), kOutputNames.end(), name);
      if (at == kOutputNames.end())
        wrong("outputs: there is no \"" + name + "\"; there are num_detections, boxes, scores and classes");
      bool binary = all_binary_;
      for (const auto& [key, value] : parameters_of(output, "outputs.").items()) {
        if (key != "binary_data") wrong("outputs.parameters." + key.substr(0, 80) + ": only binary_data is known here");
        binary = truth(value, "outputs.parameters.binary_data");
      }
      request_.outputs.push_back({static_cast<OutputTensor>(at - kOutputNames.begin()), binary});
    }
  }

  static std::span<const std::uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }

  const std::string_view text_;
  std::string_view binary_;  ///< what no tensor has taken yet
  TensorRequest request_;
  bool all_binary_ = false;
};

}  // namespace

Result<TensorRequest> parse_tensor_request(std::string_view body, std::string_view header_length) {
  std::size_t length = body.size();
  if (!header_length.empty()) {
    const auto [end, error] =
        std::from_chars(header_length.data(), header_length.data() + header_length.size(), length);
    if (error != std::errc{} || end != header_length.data() + header_length.size() || length > body.size())
      return fail(ErrorCode::kInvalid,
                  "Inference-Header-Content-Length: the number of bytes of JSON is expected, at most the whole body");
  }
  if (length > kMostTensorHeader)
    return fail(ErrorCode::kInvalid, "at most " + std::to_string(kMostTensorHeader) +
                                         " bytes of JSON are taken; send tensors as binary data");
  try {
    return Reader{body.substr(0, length), body.substr(length)}.read();
  } catch (const Wrong& error) {
    return fail(ErrorCode::kInvalid, error.why);
  }
}

}  // namespace gantry::server
