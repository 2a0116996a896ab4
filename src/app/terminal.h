// What may be written to a person's terminal.
#pragma once

#include <string>
#include <string_view>

namespace behalf::app {

// Only where standard output is a terminal and NO_COLOR is unset (no-color.org).
bool shows_colours();

// Text from elsewhere on one line: nothing in it moves the cursor, reorders or hides what stands beside it.
std::string one_line(std::string_view text);

}  // namespace behalf::app
