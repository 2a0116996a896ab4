// Spans as people write them and read them, and points in time as records show them.
#include "base/time.h"

#include <gtest/gtest.h>

namespace behalf {
namespace {

TEST(Time, durations_are_read_in_one_unit) {
  const std::pair<const char*, int64_t> kGood[] = {{"0", 0},
                                                   {"90", 90},
                                                   {"90s", 90},
                                                   {"15m", 900},
                                                   {"8h", 28800},
                                                   {"30d", 2592000},
                                                   {"36500d", 3153600000},
                                                   {"007s", 7}};
  for (const auto& [text, seconds] : kGood) {
    const auto span = parse_duration(text);
    ASSERT_TRUE(span) << text;
    EXPECT_EQ(span->count, seconds) << text;
  }
}

TEST(Time, anything_else_is_no_duration) {
  for (const char* text : {"", "s", "-1", "-1s", "+1", "1.5h", "1h30m", "1 h", " 1h", "1h ", "1H", "1w",
                           "1ms", "36501d", "99999999999999999999", "9223372036854775807d", "0x10"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Time, rfc3339_is_UTC_and_drops_the_fraction) {
  EXPECT_EQ(rfc3339({0}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339({1'795'469'400'999}), "2026-11-23T21:30:00Z");
  EXPECT_EQ(rfc3339(UnixTime::from_seconds(951'782'400)), "2000-02-29T00:00:00Z");
}

TEST(Time, spans_read_as_the_largest_unit_that_divides_them) {
  const std::pair<int64_t, const char*> kWords[] = {
      {0, "0 seconds"},     {1, "1 second"},    {59, "59 seconds"},   {60, "1 minute"},
      {600, "10 minutes"},  {90, "90 seconds"}, {3600, "1 hour"},     {28800, "8 hours"},
      {5400, "90 minutes"}, {86400, "1 day"},   {2592000, "30 days"}, {90000, "25 hours"}};
  for (const auto& [seconds, words] : kWords) EXPECT_EQ(in_words({seconds}), words);
}

TEST(Time, points_and_spans_add_up_in_milliseconds) {
  EXPECT_EQ((UnixTime{1500} + Seconds{2}).milliseconds, 3500);
  EXPECT_EQ((UnixTime{1500} - Seconds{1}).milliseconds, 500);
  EXPECT_EQ(UnixTime{1999}.seconds(), 1);
  EXPECT_LT(UnixTime{1999}, UnixTime::from_seconds(2));
}

}  // namespace
}  // namespace behalf
