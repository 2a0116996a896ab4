#include "app/terminal.h"

#include <unistd.h>

#include <string_view>

namespace behalf::app {

bool shows_colours() {
  constexpr std::string_view kName = "NO_COLOR=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with(kName) && text.size() > kName.size()) return false;
  }
  return ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace behalf::app
