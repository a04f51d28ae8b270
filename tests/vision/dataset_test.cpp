#include "gantry/vision/dataset.hpp"

#include <gtest/gtest.h>

#include "gantry/vision/coco_eval.hpp"
#include "gantry/vision/predictions.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::vision {
namespace {

std::string error_of(const auto& result) {
  return result ? "no error" : result.error().message;
}

TEST(YoloLabels, ReadsBoxesPolygonsAndEmptyLines) {
  const auto boxes = parse_yolo_labels("3 0.5 0.5 0.2 0.4\r\n\n  7 0.1 0.2 0.3 0.1 0.2 0.6\n", "a.txt");
  ASSERT_TRUE(boxes) << boxes.error().message;
  ASSERT_EQ(boxes->size(), 2);
  EXPECT_EQ((*boxes)[0].class_id, 3);
  EXPECT_FLOAT_EQ((*boxes)[0].box.x1, 0.4F);
  EXPECT_FLOAT_EQ((*boxes)[0].box.y2, 0.7F);
  EXPECT_EQ((*boxes)[1].class_id, 7);
  EXPECT_FLOAT_EQ((*boxes)[1].box.x1, 0.1F);
  EXPECT_FLOAT_EQ((*boxes)[1].box.y1, 0.1F);
  EXPECT_FLOAT_EQ((*boxes)[1].box.x2, 0.3F);
  EXPECT_FLOAT_EQ((*boxes)[1].box.y2, 0.6F);
  EXPECT_TRUE(parse_yolo_labels("", "a.txt")->empty());
}

TEST(YoloLabels, ErrorsNameFileAndLine) {
  struct Case {
    const char* text;
    const char* message;
  };
  constexpr Case kCases[] = {
      {"0 0.5 0.5 0.1 0.1\n0 0.5 x 0.1 0.1", "a.txt:2: expected numbers: class x y width height"},
      {"0 0.5 0.5 0.1", "a.txt:1: expected 5 numbers (class x y width height) or a class and at least 3 points"},
      {"0 0.5 0.5 0.1 0.1 0.1",
       "a.txt:1: expected 5 numbers (class x y width height) or a class and at least 3 points"},
      {"0.5 0.5 0.5 0.1 0.1", "a.txt:1: the class must be a whole number from 0"},
      {"-1 0.5 0.5 0.1 0.1", "a.txt:1: the class must be a whole number from 0"},
      {"0 320 0.5 0.1 0.1", "a.txt:1: coordinates must be fractions of the picture, 0 to 1"},
      {"0 nan 0.5 0.1 0.1", "a.txt:1: expected numbers: class x y width height"},
      {"0 1e999 0.5 0.1 0.1", "a.txt:1: expected numbers: class x y width height"},
  };
  for (const Case& c : kCases) EXPECT_EQ(error_of(parse_yolo_labels(c.text, "a.txt")), c.message) << c.text;
}

TEST(PartialLabels, RegionsAndClassesAreRead) {
  const auto regions = parse_ignore_regions("0.5 0.5 0.2 0.4\n\n", "a.txt");
  ASSERT_TRUE(regions) << regions.error().message;
  ASSERT_EQ(regions->size(), 1);
  EXPECT_FLOAT_EQ((*regions)[0].x1, 0.4F);
  EXPECT_FLOAT_EQ((*regions)[0].y2, 0.7F);
  EXPECT_EQ(error_of(parse_ignore_regions("1 0.5 0.5 0.1 0.1", "a.txt")),
            "a.txt:1: expected 4 numbers (x y width height)");
  EXPECT_EQ(error_of(parse_ignore_regions("\n0 320 1 1", "a.txt")),
            "a.txt:2: coordinates must be fractions of the picture, 0 to 1");
  EXPECT_EQ(error_of(parse_ignore_regions("a", "a.txt")), "a.txt:1: expected numbers: x y width height");

  const auto labelled =
      parse_labelled_classes(R"({"a": {"labelled_classes": [2, 0], "split": "val"}, "b": {}})", "p.json");
  ASSERT_TRUE(labelled) << labelled.error().message;
  EXPECT_EQ(*labelled, (std::map<std::string, std::vector<int>>{{"a", {2, 0}}}));
  for (const char* list : {"[-1]", "[0.5]", "[100001]", "5", "[\"car\"]"})
    EXPECT_EQ(error_of(parse_labelled_classes(R"({"a": {"labelled_classes": )" + std::string(list) + "}}", "p.json")),
              "p.json: \"a\".labelled_classes: expected a list of class numbers");
  EXPECT_EQ(error_of(parse_labelled_classes(R"({"a": 5})", "p.json")), "p.json: \"a\": expected an object");
  for (const char* text : {"", "[", "[]"})
    EXPECT_EQ(error_of(parse_labelled_classes(text, "p.json")),
              "p.json: expected a JSON object with an entry a picture");
}

TEST(PartialLabels, WhatNobodyMarkedIsNotJudged) {
  LabelledImage image;
  image.normalized = true;
  image.boxes = {{{0.1F, 0.1F, 0.2F, 0.2F}, 0}, {{0.5F, 0.5F, 0.6F, 0.6F}, 1}};
  const Detections found{{{10, 10, 20, 20}, 0.9F, 0}, {{80, 20, 100, 30}, 0.8F, 0}, {{50, 25, 60, 30}, 0.7F, 1}};
  const auto everything = judged(image, 100, 50, found);
  EXPECT_EQ(everything.truth.size(), 2);
  EXPECT_EQ(everything.detections.size(), 3);
  image.ignore = {{0.8F, 0.4F, 1, 0.7F}};  // pixels 80…100, 20…35
  image.labelled = std::vector<int>{0};
  const auto part = judged(image, 100, 50, found);
  ASSERT_EQ(part.detections.size(), 2) << "one is of a class that nobody marked";
  ASSERT_EQ(part.truth.size(), 2);
  EXPECT_EQ(part.truth[0].class_id, 0);
  EXPECT_FALSE(part.truth[0].crowd);
  EXPECT_TRUE(part.truth[1].crowd);
  EXPECT_EQ(part.truth[1].class_id, 0);
  EXPECT_FLOAT_EQ(part.truth[1].box.x1, 80);
  EXPECT_FLOAT_EQ(part.truth[1].box.y2, 35);
}

TEST(PartialLabels, ABoxBeforeAnUnknownRegionIsFoundOrMissedLikeAnyOther) {
  LabelledImage image;
  image.boxes = {{{10, 10, 30, 30}, 0, 400}, {{50, 10, 70, 30}, 0, 400}};
  image.ignore = {{0, 0, 40, 40}};
  const Detections found{{{10, 10, 30, 30}, 0.9F, 0}, {{5, 20, 15, 35}, 0.8F, 0}, {{50, 10, 70, 30}, 0.7F, 0}};
  const auto ap50 = [](const Judged& part) {
    CocoEvaluator evaluator;
    evaluator.add(part.truth, part.detections);
    return evaluator.score().all.ap50;
  };
  EXPECT_NEAR(ap50(judged(image, 100, 50, found)), 1, 1e-9) << "the second one lies in the region and matches nothing";
  image.ignore.clear();
  EXPECT_LT(ap50(judged(image, 100, 50, found)), 0.9);
  image.ignore = {{0, 0, 40, 40}};
  EXPECT_LT(ap50(judged(image, 100, 50, {found[1], found[2]})), 0.6) << "a missed box costs, region or not";
}

constexpr const char* kCoco = R"({
  "categories": [{"id": 7, "name": "bus"}, {"id": 3, "name": "car"}],
  "images": [{"id": 20, "file_name": "b.jpg", "width": 9, "height": 9}, {"id": 10, "file_name": "a.jpg"}],
  "annotations": [
    {"image_id": 20, "category_id": 7, "bbox": [1, 2, 3, 4], "area": 11.5, "iscrowd": 1},
    {"image_id": 20, "category_id": 3, "bbox": [0, 0, 2, 2]}]
})";

TEST(CocoJson, ClassesGoByCategoryIdAndPicturesById) {
  const auto dataset = parse_coco(kCoco, "gt.json", "pictures");
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_EQ(dataset->class_names, (std::vector<std::string>{"car", "bus"}));
  EXPECT_EQ(dataset->category_ids, (std::vector<std::int64_t>{3, 7}));
  ASSERT_EQ(dataset->images.size(), 2);
  EXPECT_EQ(dataset->images[0].file, "pictures/a.jpg");
  EXPECT_TRUE(dataset->images[0].boxes.empty());
  ASSERT_EQ(dataset->images[1].boxes.size(), 2);
  const LabelledBox& crowd = dataset->images[1].boxes[0];
  EXPECT_EQ(crowd.class_id, 1);
  EXPECT_TRUE(crowd.crowd);
  EXPECT_DOUBLE_EQ(crowd.area, 11.5);
  EXPECT_FLOAT_EQ(crowd.box.x2, 4);
  EXPECT_DOUBLE_EQ(dataset->images[1].boxes[1].area, 4);
}

TEST(CocoJson, ErrorsNameTheElement) {
  const auto with = [](std::string from, std::string to) {
    std::string text = kCoco;
    text.replace(text.find(from), from.size(), to);
    return error_of(parse_coco(text, "gt.json", ""));
  };
  EXPECT_EQ(with("\"id\": 7", "\"id\": 3"), "gt.json: categories[1].id: used twice");
  EXPECT_EQ(with("\"id\": 10", "\"id\": 20"), "gt.json: images[1].id: used twice");
  EXPECT_EQ(with("\"category_id\": 7", "\"category_id\": 8"),
            "gt.json: annotations[0].category_id: no category has this id");
  EXPECT_EQ(with("\"image_id\": 20", "\"image_id\": 21"), "gt.json: annotations[0].image_id: no image has this id");
  EXPECT_EQ(with("[1, 2, 3, 4]", "[1, 2, 3]"), "gt.json: annotations[0].bbox: expected [x, y, width, height]");
  EXPECT_EQ(with("[1, 2, 3, 4]", "[1, 2, -3, 4]"), "gt.json: annotations[0].bbox: expected [x, y, width, height]");
  EXPECT_EQ(with("[1, 2, 3, 4]", "[1, 2, 3, \"4\"]"), "gt.json: annotations[0].bbox[3]: expected a number");
  EXPECT_EQ(with("\"annotations\"", "\"notes\""), "gt.json: has no \"annotations\"");
  EXPECT_EQ(with("\"images\": [", "\"images\": [5, "), "gt.json: images[0]: expected an object");
  EXPECT_EQ(with("11.5", "1e300"), "gt.json: annotations[0].area: the number is out of range");
  EXPECT_EQ(error_of(parse_coco("{\n\"images\": [\n}", "gt.json", "")), "gt.json:3: not JSON here");
}

class DatasetFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root_ / "images/val");
    std::filesystem::create_directories(root_ / "labels/val");
  }
  void write(const std::string& file, const std::string& text) const { folder_.write(file, text); }
  test::TemporaryFolder folder_;
  const std::filesystem::path& root_ = folder_.path();
};

TEST_F(DatasetFolder, SplitsAndPartialLabels) {
  write("images/val/a.jpg", "");
  write("images/train/b.jpg", "");
  write("labels/val/a.txt", "1 0.5 0.5 0.5 1\n");
  write("ignore/val/a.txt", "0.5 0.5 0.1 0.1\n");
  write("per_image.json", R"({"a": {"labelled_classes": [1]}})");
  const auto all = read_dataset(root_);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->images.size(), 2);
  const auto val = read_dataset(root_, {}, "val");
  ASSERT_TRUE(val) << val.error().message;
  ASSERT_EQ(val->images.size(), 1);
  EXPECT_EQ(val->images[0].boxes.size(), 1);
  EXPECT_EQ(val->images[0].ignore.size(), 1);
  EXPECT_EQ(val->images[0].labelled, std::vector<int>{1});
  EXPECT_EQ(error_of(read_dataset(root_, {}, "test")),
            (root_ / "images/test").string() + ": no such folder; check the name of the split");
  write("per_image.json", "x");
  EXPECT_EQ(error_of(read_dataset(root_)),
            (root_ / "per_image.json").string() + ": expected a JSON object with an entry a picture");
}

TEST_F(DatasetFolder, LabelsMirrorPicturesAndCocoNamesAreIds) {
  write("images/val/000000000042.jpg", "");
  write("images/val/000000000007.JPG", "");
  write("images/val/readme.md", "");
  write("labels/val/000000000042.txt", "1 0.5 0.5 0.5 1\n");
  const auto dataset = read_dataset(root_);
  ASSERT_TRUE(dataset) << dataset.error().message;
  ASSERT_EQ(dataset->images.size(), 2);
  EXPECT_EQ(dataset->images[0].id, 7);
  EXPECT_EQ(dataset->images[1].id, 42);
  const auto boxes = in_pixels(dataset->images[1], 200, 100);
  ASSERT_EQ(boxes.size(), 1);
  EXPECT_FLOAT_EQ(boxes[0].box.x1, 50);
  EXPECT_FLOAT_EQ(boxes[0].box.y2, 100);
  EXPECT_DOUBLE_EQ(boxes[0].area, 10'000);
}

TEST_F(DatasetFolder, OtherNamesAreCounted) {
  write("images/b.png", "");
  write("images/a7.png", "");
  const auto dataset = read_dataset(root_);
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_EQ(dataset->images[0].id, 0);
  EXPECT_EQ(dataset->images[1].id, 1);
  EXPECT_EQ(dataset->images[1].file.filename(), "b.png");
}

TEST_F(DatasetFolder, FaultsSayWhatIsMissing) {
  EXPECT_EQ(error_of(read_dataset(root_)), (root_ / "images").string() + ": has no pictures");
  write("images/x.jpg", "");
  write("labels/x.txt", "0 0.5\n");
  EXPECT_EQ(error_of(read_dataset(root_)),
            (root_ / "labels/x.txt").string() +
                ":1: expected 5 numbers (class x y width height) or a class and at least 3 points");
  EXPECT_EQ(error_of(read_dataset(root_ / "labels")),
            (root_ / "labels").string() + ": expected folders `images` and `labels` inside, or name a COCO JSON file");
  EXPECT_EQ(error_of(read_dataset(root_ / "nowhere")), (root_ / "nowhere").string() + ": no such file or folder");
}

constexpr const char* kLine =
    R"({"camera":"a","seq":3,"width":640,"height":480,"pts_ms":1.5,"detections":[{"class_id":2,"class":"car","confidence":0.5,"box":[1,2,3.5,4]}]})";

TEST(Predictions, ReadsLines) {
  const auto frames = parse_predictions(std::string(kLine) + "\n\n" + kLine, "p.jsonl");
  ASSERT_TRUE(frames) << frames.error().message;
  ASSERT_EQ(frames->size(), 2);
  const FramePredictions& frame = (*frames)[1];
  EXPECT_EQ(frame.camera, "a");
  EXPECT_EQ(frame.seq, 3);
  EXPECT_EQ(frame.width, 640);
  ASSERT_EQ(frame.detections.size(), 1);
  EXPECT_EQ(frame.detections[0].class_id, 2);
  EXPECT_FLOAT_EQ(frame.detections[0].box.x2, 3.5F);
}

TEST(Predictions, ErrorsNameFileAndLine) {
  const auto with = [](std::string from, std::string to) {
    std::string text = kLine;
    text.replace(text.find(from), from.size(), to);
    return error_of(parse_predictions(std::string(kLine) + "\n" + text, "p.jsonl"));
  };
  EXPECT_EQ(with("}]}", "}]"), "p.jsonl:2: not JSON");
  EXPECT_EQ(with("\"a\"", "5"), "p.jsonl:2: \"camera\" must be a text");
  EXPECT_EQ(with("\"seq\":3", "\"seq\":-3"), "p.jsonl:2: \"seq\" must be a whole number from 0");
  EXPECT_EQ(with("640", "64.5"), "p.jsonl:2: \"width\" and \"height\" must be whole numbers of pixels");
  EXPECT_EQ(with("0.5", "1.5"), "p.jsonl:2: a detection's \"confidence\" must be a number from 0 to 1");
  EXPECT_EQ(with("\"class_id\":2", "\"class_id\":1e99"),
            "p.jsonl:2: a detection's \"class_id\" must be a whole number from 0");
  EXPECT_EQ(with(",4]", "]"), "p.jsonl:2: a detection's \"box\" must be [x1, y1, x2, y2]");
  EXPECT_EQ(with("[{", "[5,{"), "p.jsonl:2: a detection must be an object");
  EXPECT_EQ(with("\"detections\"", "\"boxes\""), "p.jsonl:2: \"detections\" must be a list");
}

TEST(CocoResults, AreWrittenWithUltralyticsDigitsAndTheSetsCategories) {
  std::string text = "[";
  append_coco_results(42, {{{1, 2, 4.25F, 8}, 0.123456F, 1}, {{0, 0, 1, 1}, 0.5F, 0}}, {3, 7}, text);
  append_coco_results(43, {{{0, 0, 1, 1}, 1, 5}}, {}, text);
  EXPECT_EQ(text,
            "[{\"image_id\":42,\"category_id\":7,\"bbox\":[1.000,2.000,3.250,6.000],\"score\":0.12346},\n"
            "{\"image_id\":42,\"category_id\":3,\"bbox\":[0.000,0.000,1.000,1.000],\"score\":0.50000},\n"
            "{\"image_id\":43,\"category_id\":5,\"bbox\":[0.000,0.000,1.000,1.000],\"score\":1.00000}");
}

}  // namespace
}  // namespace gantry::vision
