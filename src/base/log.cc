#include "base/log.h"

#include <cstdio>
#include <string>

#include "base/environment.h"
#include "base/json.h"

namespace behalf {
namespace {

constexpr size_t kMaxText = 500;

void write(std::string_view level, std::string_view where, std::string_view message) {
  std::string line;
  json::ObjectWriter writer(line);
  writer.add("time", rfc3339(SystemClock().now()))
      .add("level", level)
      .add_unless_empty("where", where)
      .add("message", message.substr(0, kMaxText))
      .end();
  line.push_back('\n');
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void log_line(std::string_view level, std::string_view message) { write(level, {}, message); }
void log_fault(std::string_view where, std::string_view what) { write("error", where, what); }

}  // namespace behalf
