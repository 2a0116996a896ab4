#include "base/ordered_id.h"

#include <array>
#include <cstdint>

namespace behalf {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

std::string make_ordered_id(UnixTime now, Random& random) {
  std::array<unsigned char, 10> entropy{};
  random.fill(entropy);
  std::string id(kOrderedIdLength, '0');
  auto time = static_cast<uint64_t>(now.milliseconds);
  for (size_t i = 10; i-- > 0;) {
    id[i] = kAlphabet[time & 31];
    time >>= 5;
  }
  uint32_t buffer = 0;
  int bits = 0;
  size_t at = 10;
  for (const unsigned char byte : entropy) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      id[at++] = kAlphabet[(buffer >> bits) & 31];
    }
  }
  return id;
}

bool is_ordered_id(std::string_view text) {
  return text.size() == kOrderedIdLength && text.find_first_not_of(kAlphabet) == std::string_view::npos;
}

UnixTime time_of_ordered_id(std::string_view id) {
  int64_t time = 0;
  for (const char character : id.substr(0, 10)) {
    time = time * 32 + static_cast<int64_t>(kAlphabet.find(character));
  }
  return {time};
}

}  // namespace behalf
