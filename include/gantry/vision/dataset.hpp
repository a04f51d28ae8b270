#pragma once
// Labelled pictures to validate a model on: folders of YOLO text labels, or a COCO JSON file.
//
// The parse_ functions read text and know no files; `name` stands in front of their errors. The read_ functions add the
// files. All are pure and thread-safe. Errors name file and line (or the JSON element) and what was expected there.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/result.hpp"

namespace gantry::vision {

struct LabelledBox {
  Box box;             ///< pixels; fractions of the picture's sides where LabelledImage::normalized
  int class_id = 0;    ///< index into Dataset::class_names
  double area = 0;     ///< px²; by it boxes count as small, medium or large. 0 in normalized labels: width * height
  bool crowd = false;  ///< a group: matches any number of detections and is no miss
};

struct LabelledImage {
  std::filesystem::path file;
  std::int64_t id = 0;      ///< unique in its data set; COCO's, or the number in a COCO file name, else counted
  bool normalized = false;  ///< boxes are fractions until in_pixels() is called
  std::vector<LabelledBox> boxes;
  std::vector<Box> ignore;  ///< regions where objects may be that nobody marked; fractions where normalized
  std::optional<std::vector<int>> labelled;  ///< the only classes that were marked; none: all of them
};

struct Dataset {
  std::vector<std::string> class_names;    ///< empty where the data set has none (YOLO labels)
  std::vector<std::int64_t> category_ids;  ///< of each class, for COCO results; empty: the class id
  std::vector<LabelledImage> images;       ///< by id
};

/// Lines of `class x y width height`, or `class x1 y1 x2 y2 x3 y3 …` for a polygon, whose bounding box is taken; all
/// but the class in fractions of the picture. Empty lines are fine.
[[nodiscard]] Result<std::vector<LabelledBox>> parse_yolo_labels(std::string_view text, std::string_view name);

/// Lines of `x y width height` in fractions of the picture.
[[nodiscard]] Result<std::vector<Box>> parse_ignore_regions(std::string_view text, std::string_view name);

/// {"PICTURE": {"labelled_classes": [0, 2], …}, …}, PICTURE being a file's name without its ending; other members, and
/// pictures without that list, say nothing.
[[nodiscard]] Result<std::map<std::string, std::vector<int>>> parse_labelled_classes(std::string_view text,
                                                                                     std::string_view name);

/// `images` is the folder of the pictures that the JSON names.
[[nodiscard]] Result<Dataset> parse_coco(std::string_view json, std::string_view name,
                                         const std::filesystem::path& images);

/// `path`: a folder with `images` and `labels` inside, and where only a part is labelled also `ignore` (regions, files
/// as in `labels`) and `per_image.json` (labelled classes); or a COCO JSON file whose pictures lie under `images`
/// (empty: in the file's folder).
/// @param split only this folder below `images`, such as "val"; empty: all of it. For folders only.
[[nodiscard]] Result<Dataset> read_dataset(const std::filesystem::path& path, const std::filesystem::path& images = {},
                                           const std::string& split = {});

/// Boxes of a picture that turned out to be width x height; pixels stay pixels.
[[nodiscard]] std::vector<LabelledBox> in_pixels(const LabelledImage& image, int width, int height);

/// What may be judged of a picture that turned out to be width x height: all of it where everything was labelled;
/// otherwise without the classes that nobody marked, and with each region where nobody looked as a crowd of every class
/// that was found: as COCO has it, a detection that matches no box and lies in a region counts neither way, while a box
/// that stands before such a region is found or missed like any other.
struct Judged {
  std::vector<LabelledBox> truth;  ///< pixels
  Detections detections;
};
[[nodiscard]] Judged judged(const LabelledImage& image, int width, int height, const Detections& detections);

}  // namespace gantry::vision
