// What may be written to a person's terminal.
#pragma once

namespace behalf::app {

// Only where standard output is a terminal and NO_COLOR is unset (no-color.org).
bool shows_colours();

}  // namespace behalf::app
