#include "app/terminal.h"

#include <unistd.h>

#include <cstdio>

#include "base/bytes.h"

namespace behalf::app {

bool shows_colours() {
  constexpr std::string_view kName = "NO_COLOR=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with(kName) && text.size() > kName.size()) return false;
  }
  return ::isatty(STDOUT_FILENO) == 1;
}

std::string counted(int64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

json::Value json_list(const std::vector<std::string>& texts) {
  json::Value::Array list;
  for (const std::string& text : texts) list.emplace_back(text);
  return list;
}

void print_json(const json::Value& value) { std::printf("%s\n", json::write_pretty(value).c_str()); }

int complain(bool as_json, int exit_code, const std::vector<std::string>& problems) {
  if (as_json) {
    json::Value out;
    out.set("ok", false);
    out.set("problems", json_list(problems));
    print_json(out);
  } else {
    for (const std::string& problem : problems) std::fprintf(stderr, "%s\n", one_line(problem).c_str());
  }
  return exit_code;
}

}  // namespace behalf::app
