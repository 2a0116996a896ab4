#include "model/ids.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace behalf {

std::string make_secret_text(Random& random) {
  std::array<unsigned char, 32> bytes{};
  random.fill(bytes);
  return base64url(bytes);
}

bool is_registry_id(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace behalf
