#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace gantry::server {

/// Writes an ECDSA P-256 certificate signed by itself for `names` (DNS names and IP addresses, at least one) to
/// `certificate` and its key, mode 0600, to `key`. Existing files are left alone.
/// @throws ConfigError naming the file or name
void write_self_signed(const std::vector<std::string>& names, std::chrono::days valid_for,
                       const std::filesystem::path& certificate, const std::filesystem::path& key);

}  // namespace gantry::server
