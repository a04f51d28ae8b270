#include "server/tensor_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::server {
namespace {

using testing::HasSubstr;

/// A request whose JSON is `head`, with `binary` behind it.
Result<TensorRequest> parse(const std::string& head, const std::string& binary = "") {
  static std::string body;  // spans of the result point into it
  body = head + binary;
  return parse_tensor_request(body, binary.empty() ? "" : std::to_string(head.size()));
}
std::string refusal(const std::string& head, const std::string& binary = "") {
  const auto parsed = parse(head, binary);
  return parsed ? "it was taken" : parsed.error().message;
}

TEST(TensorRequest, PixelsComeAsNumbers) {
  const auto request =
      parse(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,2,3],"data":[1,2,3,4,5,6]}]})");
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,2,3],"data":[1,2,3,4,5,256]}]})"),
              HasSubstr("inputs[0].data: a whole number from 0 to 255"));
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->pictures.size(), 1U);
  EXPECT_EQ(request->pictures[0].width, 2);
  EXPECT_EQ(request->pictures[0].height, 1);
  EXPECT_THAT(request->pictures[0].bytes, testing::ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(request->outputs.size(), 4U);
  EXPECT_FALSE(request->timeout);
  EXPECT_EQ(request->priority, Priority::kNormal);
}

TEST(TensorRequest, PixelsComeNestedLikeTheirShape) {
  const auto request =
      parse(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[2,1,1,3],"data":[[[[1,2,3]]],[[[4,5,6]]]]}]})");
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->pictures.size(), 2U);
  EXPECT_THAT(request->pictures[1].bytes, testing::ElementsAre(4, 5, 6));
}

TEST(TensorRequest, BinaryTensorsStandBehindTheJson) {
  const std::string binary{
      "\x03\x00\x00\x00"
      "abc"
      "\x00\x00\x00\x00",
      11};
  const auto request = parse(
      R"({"id":"7","parameters":{"priority":1,"timeout":2500,"binary_data_output":true,"conf":0.5,"iou":1,"max_det":9},
          "inputs":[{"name":"image","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}}],
          "outputs":[{"name":"scores"},{"name":"boxes","parameters":{"binary_data":false}}]})",
      binary);
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->pictures.size(), 2U);
  EXPECT_EQ(request->pictures[0].bytes.size(), 3U);
  EXPECT_EQ(request->pictures[0].bytes[2], 'c');
  EXPECT_TRUE(request->pictures[1].bytes.empty());
  EXPECT_EQ(request->id, "7");
  EXPECT_EQ(request->priority, Priority::kEmergency);
  EXPECT_EQ(request->timeout, Duration{std::chrono::microseconds{2500}});
  EXPECT_EQ(request->confidence, 0.5);
  EXPECT_EQ(request->max_detections, 9);
  ASSERT_EQ(request->outputs.size(), 2U);
  EXPECT_EQ(request->outputs[0].tensor, OutputTensor::kScores);
  EXPECT_TRUE(request->outputs[0].binary);
  EXPECT_FALSE(request->outputs[1].binary);
}

TEST(TensorRequest, WhatIsWrongIsNamed) {
  const std::string image =
      R"({"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]})";
  const std::string five{
      "\x01\x00\x00\x00"
      "a",
      5};
  EXPECT_EQ(refusal(image, five), "it was taken");
  EXPECT_THAT(refusal("{"), HasSubstr("no JSON object"));
  EXPECT_THAT(refusal("{}"), HasSubstr("inputs: one is expected"));
  EXPECT_THAT(refusal(image, five + "b"), HasSubstr("1 bytes longer than its tensors"));
  EXPECT_THAT(refusal(image, "abcd"), HasSubstr("5 bytes are announced and 4 have come"));
  EXPECT_THAT(refusal(image, std::string{"\xff\xff\xff\xff"
                                         "a",
                                         5}),
              HasSubstr("longer than what came"));
  EXPECT_THAT(refusal(image, std::string{"\x00\x00\x00\x00"
                                         "a",
                                         5}),
              HasSubstr("goes on behind its last picture"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["x"]}]})"),
              HasSubstr("JSON can't hold it"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"image","datatype":"FP32","shape":[1]}]})"), HasSubstr("image is BYTES"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"images","datatype":"BYTES","shape":[1]}]})"), HasSubstr("not \"images\""));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[2,2,4],"data":[]}]})"),
              HasSubstr("the last side is 3"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[2,2,3],"data":[1]}]})"),
              HasSubstr("needs 12 bytes and 1 have come"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,16384,16384,3],"data":[]}]})"),
              HasSubstr("pixels"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[-1,2,3],"data":[]}]})"),
              HasSubstr("inputs[0].shape"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"pixels","datatype":"UINT8","shape":[65,1,1,3],"data":[]}]})"),
              HasSubstr("1 to 64 pictures"));
  EXPECT_THAT(refusal(R"({"parameters":{"priority":5},"inputs":[]})"), HasSubstr("from 0 to 4"));
  EXPECT_THAT(refusal(R"({"parameters":{"timeout":-1},"inputs":[]})"), HasSubstr("microseconds"));
  EXPECT_THAT(refusal(R"({"parameters":{"confidence":1},"inputs":[]})"), HasSubstr("parameters.confidence: not known"));
  EXPECT_THAT(refusal(R"({"parameters":[],"inputs":[]})"), HasSubstr("parameters: an object"));
}

TEST(TensorRequest, TheLengthOfTheJsonIsChecked) {
  for (const char* length : {"3", "-1", "1e3", "99999999999999999999", " 2", "x"})
    EXPECT_THAT(parse_tensor_request("{}", length).error().message, HasSubstr("Inference-Header-Content-Length"))
        << length;
  EXPECT_THAT(parse_tensor_request(std::string(kMostTensorHeader + 1, ' '), "").error().message,
              HasSubstr("send tensors as binary data"));
}

}  // namespace
}  // namespace gantry::server
