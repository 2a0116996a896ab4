// What may be stored as text, on both databases alike: well-formed UTF-8 without NUL.
//
// PostgreSQL refuses both, the first at some later point of the pipeline; SQLite would store either. Both
// drivers ask here first, so that neither database accepts what the other refuses and the refusal comes from
// the statement that caused it.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "base/bytes.h"

namespace behalf::store {

inline void require_storable(std::string_view text) {
  // Almost all text here is ASCII: eight bytes a step, looking for a high bit or a zero byte.
  constexpr uint64_t kOnes = 0x0101010101010101, kHighBits = 0x8080808080808080;
  uint64_t high_bits = 0;
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, text.data() + at, 8);
    if (((eight - kOnes) & ~eight & kHighBits) != 0)
      throw std::runtime_error("text with a NUL cannot be stored");
    high_bits |= eight & kHighBits;
  }
  for (; at < text.size(); ++at) {
    if (text[at] == '\0') throw std::runtime_error("text with a NUL cannot be stored");
    high_bits |= static_cast<unsigned char>(text[at]) & 0x80U;
  }
  if (high_bits != 0 && !is_utf8(text)) throw std::runtime_error("text that is not UTF-8 cannot be stored");
}

}  // namespace behalf::store
