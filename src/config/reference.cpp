#include "gantry/config/reference.hpp"

#include "config/table.hpp"
#include "gantry/config/config.hpp"

namespace gantry::config {
namespace {

std::string show(Applies applies) {
  switch (applies) {
    case Applies::kAtOnce:
      return "at once";
    case Applies::kReconnects:
      return "reconnects";
    case Applies::kAtStart:
      return "at start";
  }
  return {};
}

// An object with every default, of which the table can show each member; maps get one entry.
void describe(const Section& section, void* object, const std::string& path, std::vector<KeyDescription>& out) {
  for (const auto& key : section.keys) {
    const auto key_path = path.empty() ? key.name : path + "." + key.name;
    if (key.is.is_map())
      describe(*key.is.section, key.is.add(object, "id"), key_path + ".<id>", out);
    else if (key.is.section != nullptr)
      describe(*key.is.section, key.is.member(object), key_path, out);
    else
      out.push_back({key_path, key.is.type, key.unit, key.is.range, key.required ? "required" : key.is.show(object),
                     show(key.applies), key.sentence});
  }
}

std::string facts(const Key& key, const void* object) {
  std::string text = key.is.type;
  if (!key.is.range.empty()) text += ", " + key.is.range;
  if (!key.unit.empty()) text += " " + key.unit;
  return text + "; " + (key.required ? "required" : "default " + key.is.show(object));
}

// Words of `text` in comment lines of at most 120 columns.
void comment(std::string& out, const std::string& indent, const std::string& text) {
  constexpr std::size_t kColumns = 120;
  std::string line = indent + "#";
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    if (line.size() + 1 + (end - at) > kColumns) {
      out += line + "\n";
      line = indent + "#";
    }
    line += " " + text.substr(at, end - at);
    at = end + 1;
  }
  out += line + "\n";
}

void write_example(const Section& section, void* object, const std::string& indent, std::string& out) {
  for (const auto& key : section.keys) {
    if (indent.empty()) out += "\n";
    if (key.is.section == nullptr) {
      comment(out, indent, key.sentence + " (" + facts(key, object) + ")");
      out += indent + key.name + ": " + (key.example.empty() ? key.is.show(object) : key.example) + "\n";
      continue;
    }
    comment(out, indent, key.sentence);
    out += indent + key.name + ":\n";
    if (!key.is.is_map()) {
      write_example(*key.is.section, key.is.member(object), indent + "  ", out);
      continue;
    }
    out += indent + "  north_gate:\n";
    write_example(*key.is.section, key.is.add(object, "north_gate"), indent + "    ", out);
    // What is usual: one line, and the defaults for the rest.
    out += "\n" + indent + "  south_gate: {source: recordings/south_gate.mp4, loop: true, priority: urgent}\n";
  }
}

std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::vector<KeyDescription> describe_keys() {
  std::vector<KeyDescription> keys;
  Config config;
  describe(root_section(), &config, "", keys);
  return keys;
}

std::string reference_markdown() {
  std::string out =
      "# Configuration\n\n"
      "<!-- Written by `gantry config reference`; change src/config/schema.cpp instead. -->\n\n"
      "`gantry serve -c gantry.yaml` reads one YAML file; [examples/gantry.yaml](../examples/gantry.yaml) shows every "
      "key with its default. `gantry config check FILE` reports everything that is wrong with a file, each problem "
      "with "
      "file and line. Unknown keys are refused. In any value `${NAME}` stands for the environment variable NAME (for "
      "passwords; values from there are never logged) and `$${` for the characters `${`.\n\n"
      "A running server reads its file again when it is saved, at SIGHUP and when the API asks for it, and changes "
      "only "
      "what changed. *Takes effect* says how: at "
      "once, with the next frame; reconnects, the camera's stream is opened anew; at start, only when the server "
      "starts again, which the log then says. A file with a mistake is refused whole and the server keeps running "
      "with what it had.\n\n"
      "A camera starts from `defaults`, which takes every key of a camera but `source`; the defaults below hold where "
      "that is silent too.\n\n"
      "| key | type | range | unit | default | takes effect | what it does |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n";
  for (const auto& key : describe_keys()) {
    if (key.path.starts_with("defaults.")) continue;
    const auto fallback = key.fallback == "required" ? key.fallback : "`" + key.fallback + "`";
    out += "| `" + key.path + "` | " + cell(key.type) + " | " + key.range + " | " + key.unit + " | " + fallback +
           " | " + key.applies + " | " + cell(key.sentence) + " |\n";
  }
  return out;
}

std::string example_yaml() {
  std::string out =
      "# Every key of Gantry's configuration with its default. Only `cameras` with a `source` each is needed; take "
      "out\n"
      "# what you do not change. Check a file with: gantry config check gantry.yaml\n"
      "# Written by `gantry config example`; change src/config/schema.cpp instead.\n";
  Config config;
  write_example(root_section(), &config, "", out);
  return out;
}

}  // namespace gantry::config
