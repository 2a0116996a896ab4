#include "oauth/signals/progress.h"

#include <algorithm>

namespace behalf::oauth {
namespace {

// That a receiver was heard of is written this often; a stream ends after an
// hour of silence.
constexpr Seconds kSeenInterval{60};

}  // namespace

void Progress::meet(const SignalStream& stream, UnixTime now) {
  const std::lock_guard lock(mutex_);
  Place& place = places_[stream.id];
  place.cursor = std::max(place.cursor, stream.cursor);
  place.ahead.erase(place.ahead.begin(), place.ahead.upper_bound(place.cursor));
  place.written_seen_at = std::max(place.written_seen_at, stream.seen_at);
  place.seen_at = std::max(place.seen_at, now);
  if (place.written_seen_at + kSeenInterval <= place.seen_at) place.is_unwritten = true;
}

void Progress::move(Place& place, int64_t cursor) {
  place.cursor = cursor;
  place.is_unwritten = true;
  place.ahead.erase(place.ahead.begin(), place.ahead.upper_bound(cursor));
}

void Progress::acknowledge(const StreamId& id, int64_t sequence) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(id);
  if (place != places_.end() && sequence > place->second.cursor) place->second.ahead.insert(sequence);
}

void Progress::skip_to(const StreamId& id, int64_t sequence) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(id);
  if (place != places_.end() && sequence > place->second.cursor) move(place->second, sequence);
}

void Progress::forget(const StreamId& id) {
  const std::lock_guard lock(mutex_);
  places_.erase(id);
}

store::RevocationList Progress::outstanding(const StreamId& id, const store::RevocationList& items,
                                            size_t most, bool is_first,
                                            const std::function<bool(const Revocation&)>& concerns) {
  store::RevocationList out;
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(id);
  if (found == places_.end()) return out;
  Place& place = found->second;
  int64_t done = place.cursor;
  bool is_contiguous = is_first;
  for (const auto& item : items) {
    if (item->sequence <= place.cursor) continue;
    const bool is_done = place.ahead.contains(item->sequence) || !concerns(*item);
    if (is_done && is_contiguous) done = item->sequence;
    if (is_done) continue;
    is_contiguous = false;
    if (out.size() >= most) break;
    out.push_back(item);
  }
  if (done > place.cursor) move(place, done);
  return out;
}

int64_t Progress::cursor(const StreamId& id) const {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(id);
  return place == places_.end() ? 0 : place->second.cursor;
}

UnixTime Progress::seen_at(const StreamId& id) const {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(id);
  return place == places_.end() ? UnixTime{} : place->second.seen_at;
}

std::vector<Progress::Step> Progress::take_unwritten() {
  std::vector<Step> steps;
  const std::lock_guard lock(mutex_);
  for (auto& [id, place] : places_) {
    if (!place.is_unwritten) continue;
    steps.push_back({.id = id, .cursor = place.cursor, .seen_at = place.seen_at});
    place.is_unwritten = false;
    place.written_seen_at = place.seen_at;
  }
  return steps;
}

void Progress::put_back(const std::vector<Step>& steps) {
  const std::lock_guard lock(mutex_);
  for (const Step& step : steps) {
    const auto place = places_.find(step.id);
    if (place != places_.end()) place->second.is_unwritten = true;
  }
}

}  // namespace behalf::oauth
