#include "sdk/policy_rules.h"

#include <algorithm>

#include "base/time.h"

namespace behalf::sdk::rules {

bool contains(const Names& names, std::string_view name) {
  const auto found = std::lower_bound(names.begin(), names.end(), name,
                                      [](const std::string& one, std::string_view two) { return one < two; });
  return found != names.end() && *found == name;
}

bool TimeWindow::holds(Milliseconds now) const {
  constexpr int64_t kDay = 24 * 60;
  const int64_t minutes = (now >= 0 ? now : now - 59'999) / 60'000 + offset_minutes;
  const int64_t minute = (minutes % kDay + kDay) % kDay;
  // 1970-01-01 was a Thursday.
  const int64_t day = (((minutes - minute) / kDay + 3) % 7 + 7) % 7;
  const auto is_on = [&](int64_t which) { return (days >> ((which + 7) % 7) & 1U) != 0; };
  if (from_minute < to_minute) return is_on(day) && minute >= from_minute && minute < to_minute;
  return (is_on(day) && minute >= from_minute) || (is_on(day - 1) && minute < to_minute);
}

std::string describe(const Limit& limit) {
  std::string text = std::to_string(limit.count);
  switch (limit.kind) {
    case LimitKind::kRate:
      text += " in " + in_words(Seconds{limit.every / 1000});
      break;
    case LimitKind::kDay:
      text += " a day";
      break;
    case LimitKind::kTotal:
      text += " in all";
      break;
  }
  switch (limit.per) {
    case Per::kActor:
      return text + " per actor";
    case Per::kGrant:
      return text + " per grant";
    case Per::kPerson:
      return text + " per person";
  }
  return text;
}

}  // namespace behalf::sdk::rules
