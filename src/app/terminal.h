// What may be written to a person's terminal.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace behalf::app {

// Only where standard output is a terminal and NO_COLOR is unset (no-color.org).
bool shows_colours();

// "1 grant", "2 grants".
std::string counted(int64_t count, const std::string& what);

// Texts as a list in an answer.
json::Value json_list(const std::vector<std::string>& texts);
void print_json(const json::Value& value);

// Says why a command did not do what it was to: on standard error, or, where a script reads, as
// {"ok": false, "problems": [...]} on standard output. Returns the exit code it is given.
int complain(bool as_json, int exit_code, const std::vector<std::string>& problems);

}  // namespace behalf::app
