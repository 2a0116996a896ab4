// Points in time and spans, as types that cannot be mixed up. Nothing here reads a clock.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace behalf {

struct Seconds {
  int64_t count = 0;
  auto operator<=>(const Seconds&) const = default;
};

// Milliseconds since 1970-01-01T00:00:00Z. Protocol members (`exp`, `iat`) are whole seconds.
struct UnixTime {
  int64_t milliseconds = 0;

  static UnixTime from_seconds(int64_t seconds) { return {seconds * 1000}; }
  int64_t seconds() const { return milliseconds / 1000; }
  auto operator<=>(const UnixTime&) const = default;
};

inline UnixTime operator+(UnixTime time, Seconds span) { return {time.milliseconds + span.count * 1000}; }
inline UnixTime operator-(UnixTime time, Seconds span) { return {time.milliseconds - span.count * 1000}; }

// "2026-11-23T21:30:00Z" (RFC 3339), always UTC.
std::string rfc3339(UnixTime time);

// "90", "90s", "15m", "8h", "30d"; empty where the text is none of these or does not fit.
std::optional<Seconds> parse_duration(std::string_view text);

// "10 minutes", "8 hours", "30 days": how pages and the command line say a span.
std::string in_words(Seconds span);

}  // namespace behalf
