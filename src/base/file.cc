#include "base/file.h"

#include <string.h>

#include <fstream>

namespace behalf {

std::optional<std::string> read_file(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  char piece[16 * 1024];
  while (text.size() <= max_bytes && (file.read(piece, sizeof piece) || file.gcount() > 0))
    text.append(piece, static_cast<size_t>(file.gcount()));
  explicit_bzero(piece, sizeof piece);  // keys are read this way, and a stack is not wiped by itself
  if (text.size() > max_bytes) return std::nullopt;
  return text;
}

}  // namespace behalf
