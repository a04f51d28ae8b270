#include "gantry/media/annotated_video_writer.hpp"

#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "media/mp4_encoder.hpp"

namespace gantry::media {
namespace {

struct CairoDelete {
  void operator()(cairo_t* p) const noexcept { cairo_destroy(p); }
  void operator()(cairo_surface_t* p) const noexcept { cairo_surface_destroy(p); }
};

struct Color {
  double r = 0, g = 0, b = 0;
  /// Perceived brightness (Rec. 709 weights on the stored values).
  [[nodiscard]] double brightness() const noexcept { return 0.2126 * r + 0.7152 * g + 0.0722 * b; }
};

Color color_of(int class_id) noexcept {
  const std::uint32_t rgb = class_color(class_id);
  return {(rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0};
}

/// Draws boxes and labels into 32-bit pixels (blue, green, red, unused).
class Pen {
 public:
  explicit Pen(std::vector<std::string> class_names) : names_(std::move(class_names)) {}

  [[nodiscard]] bool draw(AVFrame& canvas, const Detections& detections) {
    if (canvas.data[0] != pixels_ || canvas.width != width_ || canvas.height != height_) attach(canvas);
    if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) return false;
    cairo_surface_mark_dirty(surface_.get());
    // The most confident come first and are drawn last, on top.
    for (auto d = detections.rbegin(); d != detections.rend(); ++d) box(*d);
    for (auto d = detections.rbegin(); d != detections.rend(); ++d) label(*d);
    cairo_surface_flush(surface_.get());
    return cairo_status(cairo_.get()) == CAIRO_STATUS_SUCCESS;
  }

 private:
  void attach(AVFrame& canvas) {
    pixels_ = canvas.data[0];
    width_ = canvas.width;
    height_ = canvas.height;
    cairo_.reset();
    surface_.reset(
        cairo_image_surface_create_for_data(pixels_, CAIRO_FORMAT_RGB24, width_, height_, canvas.linesize[0]));
    cairo_.reset(cairo_create(surface_.get()));
    // Thickness and type grow with the picture, from 1 px and 11 px upwards.
    line_ = std::max(1.0, std::round((width_ + height_) * 0.0012));
    cairo_select_font_face(cairo_.get(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    cairo_set_font_size(cairo_.get(), std::max(11.0, std::round((width_ + height_) * 0.007)));
    cairo_font_extents(cairo_.get(), &font_);
  }

  void box(const Detection& d) {
    const Color color = color_of(d.class_id);
    const Box& b = d.box;
    const auto frame = [&](double width, double r, double g, double bl, double alpha) {
      cairo_set_source_rgba(cairo_.get(), r, g, bl, alpha);
      cairo_set_line_width(cairo_.get(), width);
      cairo_rectangle(cairo_.get(), b.x1, b.y1, b.width(), b.height());
      cairo_stroke(cairo_.get());
    };
    frame(line_ + 2, 0, 0, 0, 0.45);  // a dark seam keeps the line visible on a background of its own colour
    frame(line_, color.r, color.g, color.b, 1);
  }

  void label(const Detection& d) {
    char text[96];
    const auto id = static_cast<std::size_t>(d.class_id);
    if (d.class_id >= 0 && id < names_.size())
      std::snprintf(text, sizeof text, "%.72s %.2f", names_[id].c_str(), d.confidence);
    else
      std::snprintf(text, sizeof text, "class %d %.2f", d.class_id, d.confidence);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo_.get(), text, &extents);
    const double pad = line_ + 2;
    const double width = extents.x_advance + 2 * pad;
    const double height = font_.ascent + font_.descent;
    // Above the box where there is room, otherwise inside it; never outside the picture.
    const double x = std::clamp(static_cast<double>(d.box.x1) - line_ / 2, 0.0, std::max(0.0, width_ - width));
    const double y =
        d.box.y1 - height >= 0 ? d.box.y1 - height : std::min<double>(std::max(0.0F, d.box.y1), height_ - height);
    const Color color = color_of(d.class_id);
    cairo_set_source_rgba(cairo_.get(), color.r, color.g, color.b, 0.9);
    cairo_rectangle(cairo_.get(), x, y, width, height);
    cairo_fill(cairo_.get());
    const double ink = color.brightness() > 0.55 ? 0 : 1;
    cairo_set_source_rgb(cairo_.get(), ink, ink, ink);
    cairo_move_to(cairo_.get(), x + pad, y + font_.ascent);
    cairo_show_text(cairo_.get(), text);
  }

  std::vector<std::string> names_;
  std::unique_ptr<cairo_surface_t, CairoDelete> surface_;
  std::unique_ptr<cairo_t, CairoDelete> cairo_;
  std::uint8_t* pixels_ = nullptr;
  int width_ = 0, height_ = 0;
  double line_ = 1;
  cairo_font_extents_t font_{};
};

}  // namespace

std::uint32_t class_color(int class_id) noexcept {
  // Hue by the golden angle, so that any run of ids is spread evenly; HSV with S = 0.75 and V = 0.95.
  const double hue = std::fmod(std::abs(class_id) * 137.50776405, 360.0) / 60;
  const auto channel = [&](int n) {
    const double k = std::fmod(n + hue, 6.0);
    const double value = 0.95 * (1 - 0.75 * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
    return static_cast<std::uint32_t>(std::lround(value * 255));
  };
  return channel(5) << 16 | channel(3) << 8 | channel(1);
}

class AnnotatedVideoWriter::Impl {
 public:
  Impl(const std::string& file, std::vector<std::string> class_names, const ClipOptions& options)
      : path(file), encoder(file, options), pen(std::move(class_names)) {}

  Result<void> write(const Image& image, Duration pts, const Detections& detections) {
    view(image, *picture);
    if (canvas->width != image.width || canvas->height != image.height) {
      av_frame_unref(canvas.get());
      canvas->format = AV_PIX_FMT_BGR0;
      canvas->width = image.width;
      canvas->height = image.height;
      if (const int code = av_frame_get_buffer(canvas.get(), 0); code < 0)
        return av_failure(code, path + ": no canvas");
    }
    if (!convert(*picture, *canvas)) return fail(ErrorCode::kUnsupported, path + ": the picture can't be converted");
    if (!pen.draw(*canvas, detections)) return fail(ErrorCode::kUnsupported, path + ": the picture can't be drawn on");
    // Back into the colours it came from.
    canvas->colorspace = picture->colorspace;
    return encoder.write(*canvas, pts);
  }

  std::string path;
  Mp4Encoder encoder;
  AvPtr<AVFrame> picture{av_frame_alloc()};
  AvPtr<AVFrame> canvas{av_frame_alloc()};
  Converter convert;
  Pen pen;
};

AnnotatedVideoWriter::AnnotatedVideoWriter(const std::string& path, std::vector<std::string> class_names,
                                           const ClipOptions& options)
    : impl_(std::make_unique<Impl>(path, std::move(class_names), options)) {}
AnnotatedVideoWriter::~AnnotatedVideoWriter() = default;
Result<void> AnnotatedVideoWriter::write(const Image& image, Duration pts, const Detections& detections) {
  return impl_->write(image, pts, detections);
}
Result<void> AnnotatedVideoWriter::finish() {
  return impl_->encoder.finish();
}

}  // namespace gantry::media
