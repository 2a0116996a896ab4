// One-line logs to standard error, as JSON. Ids and reasons only: no credential, no claim, no request body.
#pragma once

#include <string_view>

namespace behalf {

void log_line(std::string_view level, std::string_view message);
void log_fault(std::string_view where, std::string_view what);

}  // namespace behalf
