#pragma once
// Writes a quantisation into the ONNX file that it was made from: QuantizeLinear and DequantizeLinear pairs (opset 13),
// 8-bit weights with a scale an output channel. Everything else of the file stays as it is.
#include <map>
#include <string>
#include <string_view>

#include "precision/simulation.hpp"

namespace gantry::precision {

/// How symmetric activations are stored.
enum class Storage8 : std::uint8_t {
  kAsChosen,  ///< affine ones as unsigned, symmetric ones as signed bytes
  kUnsigned,  ///< symmetric ones too, with zero point 128: the same arithmetic for readers that know only those
};

/// The bytes of the quantised file; `metadata` is added to the file's own. The same input gives the same bytes.
/// @throws ModelError where the opset is below 13 or batch norms are not folded
[[nodiscard]] std::string write_qdq(std::string_view onnx_bytes, const std::string& source, const Scheme& scheme,
                                    const Quantization& quantization, Storage8 storage,
                                    const std::map<std::string, std::string>& metadata);

/// @throws ModelError where the file holds quantised nodes already; says what to give instead
void refuse_quantized(std::string_view onnx_bytes, const std::string& source);

/// The metadata properties of an ONNX file. @throws ModelError
[[nodiscard]] std::map<std::string, std::string> read_metadata(const std::string& path);

}  // namespace gantry::precision
