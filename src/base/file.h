// Files, read whole.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace behalf {

// The whole file; nothing if it cannot be read or has more than `max_bytes`.
std::optional<std::string> read_file(const std::string& path, size_t max_bytes = size_t{16} * 1024 * 1024);

}  // namespace behalf
