#include "oauth/limits.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace behalf::oauth {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kRecordInterval = kSecond / 10;
constexpr int64_t kRecordRoom = 10 * kRecordInterval;

}  // namespace

std::string network_of(std::string_view peer) {
  const std::string text(peer);
  in6_addr address{};
  if (::inet_pton(AF_INET6, text.c_str(), &address) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    char v4[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &address.s6_addr[12], v4, sizeof v4);
    return v4;
  }
  std::fill(std::begin(address.s6_addr) + 8, std::end(address.s6_addr), static_cast<uint8_t>(0));
  char v6[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, &address, v6, sizeof v6);
  return std::string(v6) + "/64";
}

Limits::Rate Limits::rate_of(uint32_t burst, uint32_t count, Seconds per) {
  if (burst == 0 || count == 0) return {};
  const int64_t interval = std::max<int64_t>(1, per.count * kSecond / count);
  return {.interval = interval, .room = interval * (static_cast<int64_t>(burst) - 1)};
}

Limits::Limits(const LimitSettings& settings, Seconds pushed_request_life, Seconds interaction_life,
               Clock& clock, Random& random)
    : clock_(clock),
      rates_{rate_of(settings.failures, settings.failures_per_minute, Seconds{60}),
             rate_of(settings.failures, settings.failures_per_minute, Seconds{60}),
             rate_of(settings.sign_in_failures, settings.sign_in_failures_per_minute, Seconds{60}),
             // Many people share an address; many accounts tried from one are still noticed.
             rate_of(20 * settings.sign_in_failures, 20 * settings.sign_in_failures_per_minute, Seconds{60}),
             rate_of(settings.prompts_per_hour, settings.prompts_per_hour, Seconds{3600}),
             rate_of(settings.pushed_requests, settings.pushed_requests, pushed_request_life),
             rate_of(settings.open_requests, settings.open_requests, interaction_life)},
      fingerprint_(random),
      buckets_(kSets * kWays) {}

// Keyed, so that nobody can aim at another's bucket.
uint64_t Limits::name(Kind kind, Who who) const {
  std::string text(1, static_cast<char>(kind));
  for (const std::string_view part : who) {
    text += std::to_string(part.size()) + ':';
    text += part;
  }
  return fingerprint_(text) | 1;  // never that of a free bucket
}

Limits::Bucket* Limits::find(uint64_t who) {
  Bucket* set = &buckets_[(who >> 1) % kSets * kWays];
  Bucket* found = std::find_if(set, set + kWays, [&](const Bucket& bucket) { return bucket.who == who; });
  return found == set + kWays ? nullptr : found;
}

// The one who owes least is forgotten: flooding the table frees nobody who matters.
Limits::Bucket& Limits::find_or_replace(uint64_t who) {
  if (Bucket* found = find(who)) return *found;
  Bucket* set = &buckets_[(who >> 1) % kSets * kWays];
  Bucket& least = *std::min_element(set, set + kWays,
                                    [](const Bucket& a, const Bucket& b) { return a.empty_at < b.empty_at; });
  least = {.who = who, .empty_at = 0};
  return least;
}

std::optional<Seconds> Limits::wait(Kind kind, Who who) {
  const Rate& rate = rates_[static_cast<size_t>(kind)];
  if (rate.interval == 0 || is_empty_.load(std::memory_order_acquire)) return std::nullopt;
  const uint64_t key = name(kind, who);
  const int64_t now = clock_.steady_microseconds();
  const std::lock_guard lock(mutex_);
  const Bucket* bucket = find(key);
  if (bucket == nullptr || bucket->empty_at - now <= rate.room) return std::nullopt;
  return Seconds{(bucket->empty_at - now - rate.room + kSecond - 1) / kSecond};
}

void Limits::charge(Kind kind, Who who) {
  const Rate& rate = rates_[static_cast<size_t>(kind)];
  if (rate.interval == 0) return;
  const uint64_t key = name(kind, who);
  const int64_t now = clock_.steady_microseconds();
  const std::lock_guard lock(mutex_);
  Bucket& bucket = find_or_replace(key);
  bucket.empty_at = std::max(bucket.empty_at, now) + rate.interval;
  is_empty_.store(false, std::memory_order_release);
}

void Limits::refund(Kind kind, Who who) {
  const Rate& rate = rates_[static_cast<size_t>(kind)];
  if (rate.interval == 0) return;
  const uint64_t key = name(kind, who);
  const std::lock_guard lock(mutex_);
  if (Bucket* bucket = find(key)) bucket->empty_at -= rate.interval;
}

std::optional<uint64_t> Limits::admit_record() {
  const int64_t now = clock_.steady_microseconds();
  const std::lock_guard lock(mutex_);
  if (records_empty_at_ - now > kRecordRoom) {
    ++unrecorded_;
    return std::nullopt;
  }
  records_empty_at_ = std::max(records_empty_at_, now) + kRecordInterval;
  return std::exchange(unrecorded_, 0);
}

}  // namespace behalf::oauth
