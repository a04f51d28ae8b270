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

Result<Dataset> read_yolo_folder(const fs::path& folder) {
  const fs::path pictures = folder / "images";
  const fs::path labels = folder / "labels";
  std::error_code ignored;
  if (!fs::is_directory(pictures, ignored) || !fs::is_directory(labels, ignored)) {
    return fail(ErrorCode::kNotFound,
                folder.string() + ": expected folders `images` and `labels` inside, or name a COCO JSON file");
  }
  Dataset dataset;
  for (const auto& entry : fs::recursive_directory_iterator(pictures)) {
    if (!entry.is_regular_file() || !is_picture(entry.path())) continue;
    LabelledImage& image = dataset.images.emplace_back();
    image.file = entry.path();
    image.normalized = true;
    const fs::path label = (labels / fs::relative(entry.path(), pictures)).replace_extension(".txt");
    if (!fs::exists(label, ignored)) continue;  // a picture with nothing on it
    const auto text = read_file(label);
    if (!text) return Unexpected<Error>{text.error()};
    auto boxes = parse_yolo_labels(*text, label.string());
    if (!boxes) return Unexpected<Error>{boxes.error()};
    image.boxes = std::move(*boxes);
  }
  if (dataset.images.empty()) return fail(ErrorCode::kNotFound, pictures.string() + ": has no pictures");
  std::sort(dataset.images.begin(), dataset.images.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  number_images(dataset.images);
  std::stable_sort(dataset.images.begin(), dataset.images.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  return dataset;
}

}  // namespace

Result<Dataset> read_dataset(const fs::path& path, const fs::path& images) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return fail(ErrorCode::kNotFound, path.string() + ": no such file or folder");
  if (fs::is_directory(path, ignored)) return read_yolo_folder(path);
  const auto text = read_file(path);
  if (!text) return Unexpected<Error>{text.error()};
  return parse_coco(*text, path.string(), images.empty() ? path.parent_path() : images);
}

}  // namespace gantry::vision
