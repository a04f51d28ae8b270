#include "gantry/vision/dataset.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>

namespace gantry::vision {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& file) {
  static constexpr std::array kEndings{".jpg", ".jpeg", ".png", ".bmp", ".webp"};
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

Result<std::string> read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::kNotFound, file.string() + ": can't be read");
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// COCO's file names are its ids; any other name makes all ids counts.
void number_images(std::vector<LabelledImage>& images) {
  const bool numbers = std::all_of(images.begin(), images.end(), [](LabelledImage& image) {
    const std::string stem = image.file.stem().string();
    const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), image.id);
    return error == std::errc{} && end == stem.data() + stem.size();
  });
  for (std::size_t i = 0; !numbers && i < images.size(); ++i) images[i].id = static_cast<std::int64_t>(i);
}

/// The labels of one picture, and what they leave out. `below` is the picture's path below `images`.
Result<void> read_labels(const fs::path& folder, const fs::path& below, LabelledImage& image) {
  std::error_code ignored;
  const auto text_of = [&](const char* kind, const auto& use) -> Result<void> {
    const fs::path file = (folder / kind / below).replace_extension(".txt");
    if (!fs::exists(file, ignored)) return {};  // a picture with nothing on it
    const auto text = read_file(file);
    if (!text) return Unexpected<Error>{text.error()};
    return use(*text, file.string());
  };
  auto read = text_of("labels", [&](const std::string& text, const std::string& name) -> Result<void> {
    auto boxes = parse_yolo_labels(text, name);
    if (!boxes) return Unexpected<Error>{boxes.error()};
    image.boxes = std::move(*boxes);
    return {};
  });
  if (!read) return read;
  return text_of("ignore", [&](const std::string& text, const std::string& name) -> Result<void> {
    auto regions = parse_ignore_regions(text, name);
    if (!regions) return Unexpected<Error>{regions.error()};
    image.ignore = std::move(*regions);
    return {};
  });
}

Result<void> read_labelled_classes(const fs::path& file, std::vector<LabelledImage>& images) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return {};
  const auto text = read_file(file);
  if (!text) return Unexpected<Error>{text.error()};
  auto labelled = parse_labelled_classes(*text, file.string());
  if (!labelled) return Unexpected<Error>{labelled.error()};
  for (LabelledImage& image : images)
    if (const auto found = labelled->find(image.file.stem().string()); found != labelled->end())
      image.labelled = found->second;
  return {};
}

Result<Dataset> read_yolo_folder(const fs::path& folder, const std::string& split) {
  const fs::path all_pictures = folder / "images";
  const fs::path pictures = split.empty() ? all_pictures : all_pictures / split;
  const fs::path labels = folder / "labels";
  std::error_code ignored;
  if (!fs::is_directory(all_pictures, ignored) || !fs::is_directory(labels, ignored)) {
    return fail(ErrorCode::kNotFound,
                folder.string() + ": expected folders `images` and `labels` inside, or name a COCO JSON file");
  }
  if (!fs::is_directory(pictures, ignored))
    return fail(ErrorCode::kNotFound, pictures.string() + ": no such folder; check the name of the split");
  Dataset dataset;
  for (const auto& entry : fs::recursive_directory_iterator(pictures)) {
    if (!entry.is_regular_file() || !is_picture(entry.path())) continue;
    LabelledImage& image = dataset.images.emplace_back();
    image.file = entry.path();
    image.normalized = true;
    if (auto read = read_labels(folder, fs::relative(entry.path(), all_pictures), image); !read)
      return Unexpected<Error>{read.error()};
  }
  if (dataset.images.empty()) return fail(ErrorCode::kNotFound, pictures.string() + ": has no pictures");
  if (auto read = read_labelled_classes(folder / "per_image.json", dataset.images); !read)
    return Unexpected<Error>{read.error()};
  std::sort(dataset.images.begin(), dataset.images.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  number_images(dataset.images);
  std::stable_sort(dataset.images.begin(), dataset.images.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  return dataset;
}

}  // namespace

Result<Dataset> read_dataset(const fs::path& path, const fs::path& images, const std::string& split) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return fail(ErrorCode::kNotFound, path.string() + ": no such file or folder");
  if (fs::is_directory(path, ignored)) return read_yolo_folder(path, split);
  const auto text = read_file(path);
  if (!text) return Unexpected<Error>{text.error()};
  return parse_coco(*text, path.string(), images.empty() ? path.parent_path() : images);
}

}  // namespace gantry::vision
