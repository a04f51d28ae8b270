#include "gantry/config/suggest.hpp"

#include <gtest/gtest.h>

#include "gantry/config/input_size.hpp"

namespace gantry::config {
namespace {

TEST(Suggest, NamesTheNearestWord) {
  const std::vector<std::string> known{"source", "fps", "priority", "deadline_ms", "iou"};
  EXPECT_EQ(nearest("prioritty", known), "priority");
  EXPECT_EQ(nearest("Priority", known), "priority");
  EXPECT_EQ(nearest("fsp", known), "fps");
  EXPECT_EQ(nearest("deadline", known), "deadline_ms");
  EXPECT_EQ(nearest("iou_threshold", known), "iou");
}

TEST(Suggest, IsSilentWhereNothingIsNear) {
  const std::vector<std::string> known{"source", "fps", "iou"};
  EXPECT_EQ(nearest("analytics", known), "");
  EXPECT_EQ(nearest("x", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), known), "");
  EXPECT_EQ(did_you_mean("analytics", known), "");
  EXPECT_EQ(did_you_mean("sorce", known), "; did you mean 'source'?");
}

TEST(InputSize, ReadsItsThreeForms) {
  EXPECT_TRUE(parse_input_size("auto").value().automatic());
  EXPECT_EQ(parse_input_size("640").value(), (InputSize{640, 640}));
  EXPECT_EQ(parse_input_size("640x384").value(), (InputSize{640, 384}));
  for (const char* text : {"", "x", "640x", "x640", "31", "4097", "640x31", "-640", "640 x 384", "640x384x3", "6e2"})
    EXPECT_FALSE(parse_input_size(text)) << text;
}

TEST(InputSize, IsShownAsItIsRead) {
  for (const char* text : {"auto", "640", "640x384"}) EXPECT_EQ(to_string(parse_input_size(text).value()), text);
}

}  // namespace
}  // namespace gantry::config
