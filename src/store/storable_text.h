// What may be stored as text, on both databases alike: well-formed UTF-8 without NUL.
//
// PostgreSQL refuses both, the first at some later point of the pipeline; SQLite would store either. Both
// drivers ask here first, so that neither database accepts what the other refuses and the refusal comes from
// the statement that caused it.
#pragma once

#include <stdexcept>
#include <string_view>

#include "base/bytes.h"

namespace behalf::store {

inline void require_storable(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) throw std::runtime_error("text with a NUL cannot be stored");
  if (!is_utf8(text)) throw std::runtime_error("text that is not UTF-8 cannot be stored");
}

}  // namespace behalf::store
