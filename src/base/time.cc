#include "base/time.h"

#include <charconv>
#include <cstdio>
#include <ctime>

namespace behalf {

std::string rfc3339(UnixTime time) {
  const std::time_t seconds = time.seconds();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, length};
}

std::optional<Seconds> parse_duration(std::string_view text) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, count);
  if (fault != std::errc{} || count < 0) return std::nullopt;
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  int64_t factor = 0;
  if (unit.empty() || unit == "s") factor = 1;
  if (unit == "m") factor = 60;
  if (unit == "h") factor = 3600;
  if (unit == "d") factor = 86400;
  constexpr int64_t kLongest = int64_t{100} * 365 * 86400;
  if (factor == 0 || count > kLongest / factor) return std::nullopt;
  return Seconds{count * factor};
}

std::string in_words(Seconds span) {
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  for (const Unit unit : {Unit{86400, "day"}, Unit{3600, "hour"}, Unit{60, "minute"}}) {
    if (span.count < unit.seconds || span.count % unit.seconds != 0) continue;
    const int64_t count = span.count / unit.seconds;
    return std::to_string(count) + " " + unit.name + (count == 1 ? "" : "s");
  }
  return std::to_string(span.count) + (span.count == 1 ? " second" : " seconds");
}

}  // namespace behalf
