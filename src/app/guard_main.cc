// `behalf-guard`: what `behalf guard` runs. The guard alone, without the server and its libraries.
#include <cstdio>
#include <string>
#include <string_view>

#include "app/commands.h"

int main(int argc, char** argv) {
  std::string config = "guard.toml";
  for (int at = 1; at < argc; ++at) {
    const std::string_view word = argv[at];
    if ((word == "-c" || word == "--config") && at + 1 < argc) {
      config = argv[++at];
    } else if (word == "--version") {
      std::puts("behalf-guard " BEHALF_VERSION);
      return behalf::app::kOk;
    } else {
      std::fprintf(stderr,
                   "behalf-guard [--config guard.toml]: decides beside an API, or stands in front of it\n");
      return word == "--help" || word == "-h" ? behalf::app::kOk : behalf::app::kWrongUse;
    }
  }
  return behalf::app::guard_here(config);
}
