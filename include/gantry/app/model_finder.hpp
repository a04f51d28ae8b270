#pragma once
// From what a user calls a model to a file. One place for every command.
#include <filesystem>
#include <string>
#include <vector>

namespace gantry::app {

/// Folders in which named models lie, in the order of search: $GANTRY_MODELS, models/ beside the program and up to
/// three folders above it (a build folder inside the source tree), ../share/gantry/models of an installed program.
[[nodiscard]] std::vector<std::filesystem::path> model_folders();

/// A path ("./a.onnx", "exports/a_openvino_model", "a.onnx") stands for itself. A bare name is looked for in `folders`
/// as NAME.onnx, NAME.xml and the folder NAME.
/// @throws ModelError that says where it looked, what is there and what was probably meant
[[nodiscard]] std::string find_model(const std::string& name,
                                     const std::vector<std::filesystem::path>& folders = model_folders());

}  // namespace gantry::app
