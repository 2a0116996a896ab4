// behalf.toml and state.toml: anything is either taken or refused with one line that names the file and the
// place.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "app/config.h"
#include "app/state_file.h"
#include "console/state.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  using namespace behalf;
  // A file that is nowhere: what the state file refers to beside it is not found.
  static const int file = ::memfd_create("fuzz", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size)) std::abort();
  const auto one_line = [](const std::string& reason) {
    if (reason.find('\n') != std::string::npos || !reason.starts_with(path + ":")) std::abort();
    const size_t colon = reason.find_first_not_of("0123456789", path.size() + 1);
    if (colon == path.size() + 1 || colon + 2 >= reason.size() || reason.compare(colon, 2, ": ") != 0)
      std::abort();
  };
  if (const auto config = app::read_config(path)) {
    if (config->settings.issuer.empty() || config->settings.issuer.ends_with('/') || config->threads == 0)
      std::abort();
  } else {
    one_line(config.reason());
  }
  if (const auto state = app::read_state_file(path)) {
    const auto parsed = console::parse_state(state->state);
    if (!parsed && parsed.reason().empty()) std::abort();
  } else {
    one_line(state.reason());
  }
  return 0;
}
