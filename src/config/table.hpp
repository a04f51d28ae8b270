#pragma once
// The vocabulary in which schema.cpp writes the key table: a Section is a list of Keys, a Key has a name, what it is
// bound to, and its documentation. A binding knows its member, how to read YAML into it and how to show it as YAML, so
// that parsing, defaults, documentation and the comparison of two configurations all come from the same row.
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gantry/config/loader.hpp"

namespace YAML {
class Node;
}

namespace gantry::config {

class Reader;
struct Section;

struct Binding {
  std::string type;
  std::string range;
  /// Of a value: YAML into the member of `object`, problems into the reader.
  std::function<void(void* object, const YAML::Node& node, Reader& reader, const std::string& path)> read;
  /// Of a value: the member of `object` as YAML.
  std::function<std::string(const void* object)> show;

  /// Of a section or a map of sections: what it holds.
  const Section* section = nullptr;
  /// Of a section: the member itself.
  std::function<void*(void* object)> member;
  /// Of a map: a new entry named `id`, filled with its defaults.
  std::function<void*(void* object, const std::string& id)> add;
  [[nodiscard]] bool is_map() const noexcept { return add != nullptr; }
};

struct Key {
  std::string name;
  Binding is;
  std::string unit;
  std::string sentence;
  Applies applies = Applies::kAtOnce;
  std::string example;    ///< YAML that the shipped example shows in place of the default
  bool required = false;  ///< has no default
};

struct Section {
  std::vector<Key> keys;
  /// Rules between keys of one section: a text where `object` breaks one.
  std::function<std::string(const void* object)> check;
};

/// The table: every key of the file.
[[nodiscard]] const Section& root_section();
/// The keys of one camera.
[[nodiscard]] const Section& camera_section();

/// Nothing where the text is no number (or no whole number); `inf` and `nan` are none.
[[nodiscard]] std::optional<double> parse_number(std::string_view text) noexcept;
[[nodiscard]] std::optional<long long> parse_whole(std::string_view text) noexcept;
[[nodiscard]] std::string show_number(double value);
[[nodiscard]] std::string show_text(const std::string& value);
[[nodiscard]] std::string show_texts(const std::vector<std::string>& values);

// Reading of each kind of value; each notes its own problems.
void read_number(const YAML::Node&, Reader&, const std::string& path, double low, double high, double& out);
void read_whole(const YAML::Node&, Reader&, const std::string& path, long long low, long long high, long long& out);
void read_flag(const YAML::Node&, Reader&, const std::string& path, bool& out);
void read_text(const YAML::Node&, Reader&, const std::string& path, bool may_be_empty, std::string& out);
void read_texts(const YAML::Node&, Reader&, const std::string& path, std::vector<std::string>& out);
void read_input_size(const YAML::Node&, Reader&, const std::string& path, InputSize& out);
/// The index of the value among `names`, or -1.
[[nodiscard]] int read_choice(const YAML::Node&, Reader&, const std::string& path,
                              const std::vector<std::string>& names);

template <typename T>
Binding number(double T::*member, double low, double high) {
  return {.type = "number",
          .range = show_number(low) + "…" + show_number(high),
          .read =
              [=](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
                read_number(node, reader, path, low, high, static_cast<T*>(object)->*member);
              },
          .show = [=](const void* object) { return show_number(static_cast<const T*>(object)->*member); }};
}

template <typename T>
Binding whole(int T::*member, int low, int high) {
  return {.type = "whole number",
          .range = std::to_string(low) + "…" + std::to_string(high),
          .read =
              [=](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
                long long value = static_cast<T*>(object)->*member;
                read_whole(node, reader, path, low, high, value);
                static_cast<T*>(object)->*member = static_cast<int>(value);
              },
          .show = [=](const void* object) { return std::to_string(static_cast<const T*>(object)->*member); }};
}

/// A time in units of `Unit` (std::chrono::milliseconds, seconds); the row's `unit` column says which.
template <typename Unit, typename T>
Binding time(Duration T::*member, int low, int high) {
  return {.type = "whole number",
          .range = std::to_string(low) + "…" + std::to_string(high),
          .read =
              [=](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
                auto& duration = static_cast<T*>(object)->*member;
                long long value = std::chrono::duration_cast<Unit>(duration).count();
                read_whole(node, reader, path, low, high, value);
                duration = Unit{value};
              },
          .show =
              [=](const void* object) {
                return std::to_string(std::chrono::duration_cast<Unit>(static_cast<const T*>(object)->*member).count());
              }};
}

template <typename T>
Binding flag(bool T::*member) {
  return {.type = "true or false",
          .read = [=](void* object, const YAML::Node& node, Reader& reader,
                      const std::string& path) { read_flag(node, reader, path, static_cast<T*>(object)->*member); },
          .show = [=](const void* object) { return static_cast<const T*>(object)->*member ? "true" : "false"; }};
}

template <typename T>
Binding text(std::string T::*member, bool may_be_empty = false) {
  return {.type = "text",
          .read =
              [=](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
                read_text(node, reader, path, may_be_empty, static_cast<T*>(object)->*member);
              },
          .show = [=](const void* object) { return show_text(static_cast<const T*>(object)->*member); }};
}

template <typename T>
Binding texts(std::vector<std::string> T::*member) {
  return {.type = "list of text",
          .read = [=](void* object, const YAML::Node& node, Reader& reader,
                      const std::string& path) { read_texts(node, reader, path, static_cast<T*>(object)->*member); },
          .show = [=](const void* object) { return show_texts(static_cast<const T*>(object)->*member); }};
}

/// One of a few names; `values` pairs each with what it means.
template <typename T, typename E>
Binding choice(E T::*member, std::vector<std::pair<std::string, E>> values) {
  std::vector<std::string> names;
  std::string type = "one of ";
  for (const auto& [name, value] : values) {
    if (!names.empty()) type += ", ";
    type += name;
    names.push_back(name);
  }
  return {.type = type,
          .read =
              [=](void* object, const YAML::Node& node, Reader& reader, const std::string& path) {
                const int index = read_choice(node, reader, path, names);
                if (index >= 0) static_cast<T*>(object)->*member = values[index].second;
              },
          .show =
              [=](const void* object) {
                for (const auto& [name, value] : values)
                  if (value == static_cast<const T*>(object)->*member) return name;
                return std::string{};
              }};
}

template <typename T, typename S>
Binding section(S T::*member, const Section& keys) {
  return {.type = "section", .section = &keys, .member = [=](void* object) -> void* {
            return &(static_cast<T*>(object)->*member);
          }};
}

/// Sections by name; `start` gives the values that a new entry has before its keys are read.
template <typename T, typename S>
Binding sections(std::map<std::string, S> T::*member, const Section& keys, S T::*start) {
  return {.type = "sections by name", .section = &keys, .add = [=](void* object, const std::string& id) -> void* {
            auto& owner = *static_cast<T*>(object);
            return &(owner.*member).insert_or_assign(id, owner.*start).first->second;
          }};
}

}  // namespace gantry::config
