// Files that travel inside the binary (made by cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace behalf {

struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

std::span<const EmbeddedFile> embedded_web();
std::span<const EmbeddedFile> embedded_schema();

}  // namespace behalf
