// Ids that carry the time they were made: 26 characters of lower-case Crockford base32, 48 bits of
// milliseconds, then 80 random bits. Ids made later sort later, which is what keeps an embedded B-tree fast
// (docs/decisions/0003-ordered-ids.md), and whoever reads a `jti` knows to the millisecond when it was
// issued.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/environment.h"
#include "base/time.h"

namespace behalf {

std::string make_ordered_id(UnixTime now, Random& random);
inline constexpr size_t kOrderedIdLength = 26;
// True if `text` has that form; says nothing about whether it exists.
bool is_ordered_id(std::string_view text);
// When it was made.
UnixTime time_of_ordered_id(std::string_view id);

}  // namespace behalf
