#include "app/terminal.h"

#include <unistd.h>

#include "base/bytes.h"

namespace behalf::app {

bool shows_colours() {
  constexpr std::string_view kName = "NO_COLOR=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with(kName) && text.size() > kName.size()) return false;
  }
  return ::isatty(STDOUT_FILENO) == 1;
}

std::string one_line(std::string_view text) {
  const bool is_text = is_utf8(text);
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = !is_text || lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k)
      point = (point << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    const bool moves = point < 0x20 || (point >= 0x7F && point < 0xA0) || (length == 1 && lead >= 0x80);
    const bool hides = point == 0xAD || point == 0x61C || point == 0x180E || point == 0xFEFF ||
                       (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
                       (point >= 0x2060 && point <= 0x206F) || point >= 0xE0000;
    if (moves || hides)
      result.push_back('?');
    else
      result += text.substr(i, length);
    i += length;
  }
  return result;
}

}  // namespace behalf::app
