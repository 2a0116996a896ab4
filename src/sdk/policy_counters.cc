#include "sdk/policy_counters.h"

#include <algorithm>
#include <cstring>

#include "crypto/hash.h"

namespace behalf::sdk {
namespace rules {
namespace {

constexpr Milliseconds kDay = 86'400'000;
// The end of the year 9999: sums of times stay within 64 bits.
constexpr int64_t kLatestMicroseconds = 253'402'300'800'000'000;
constexpr Milliseconds kSweepPause = 1'000;
constexpr std::string_view kMark = "behalf counters 1\n";
constexpr size_t kSavedBytes = 2 * 8 + 8 + 4 + 1;

// Microseconds a unit of a rate stands for.
int64_t share(const Limit& limit) { return limit.every * 1000 / limit.count; }

void append(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

uint64_t read(std::string_view text, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<unsigned char>(text[at + i])} << (8 * i);
  return value;
}

}  // namespace

// True if it says no more than an entry that is not there.
bool Ledger::is_spent(const Entry& entry, Milliseconds now) {
  switch (entry.kind) {
    case LimitKind::kRate:
      return entry.value <= now * 1000;
    case LimitKind::kDay:
      return entry.day < now / kDay || entry.value == 0;
    case LimitKind::kTotal:
      return entry.value == 0;
  }
  return false;
}

Ledger::Ledger(size_t max_entries) : room_(std::max<size_t>(1, max_entries / kShards)) {}

Ledger::Key Ledger::key_of(std::string_view rule, const Limit& limit, std::string_view id) {
  // Lengths first: no two triples make the same text. The count is not part of it: raising a budget on reload
  // does not give back what was used.
  std::string text;
  text.reserve(rule.size() + id.size() + 32);
  text += std::to_string(rule.size());
  text += ':';
  text += rule;
  text += static_cast<char>('a' + static_cast<int>(limit.kind));
  text += static_cast<char>('a' + static_cast<int>(limit.per));
  text += std::to_string(limit.every);
  text += ':';
  text += id;
  const Digest digest = crypto::sha256(text);
  Key key;
  std::memcpy(key.data(), digest.data(), sizeof key);
  return key;
}

Ledger::Refused Ledger::take_one(const Charge& charge, Milliseconds now) {
  const Limit& limit = *charge.limit;
  Shard& shard = shard_of(charge.key);
  const std::lock_guard lock(shard.mutex);
  auto found = shard.entries.find(charge.key);
  if (found == shard.entries.end()) {
    if (shard.entries.size() >= room_ && now >= shard.swept + kSweepPause) {
      shard.swept = now;
      std::erase_if(shard.entries, [&](const auto& item) { return is_spent(item.second, now); });
    }
    if (shard.entries.size() >= room_) return {&limit, 1, true};
    found = shard.entries.emplace(charge.key, Entry{0, 0, limit.kind}).first;
  }
  Entry& entry = found->second;
  if (limit.kind == LimitKind::kRate) {
    const int64_t cost = share(limit) * charge.count;
    const int64_t most = share(limit) * limit.count;
    const int64_t full_again = std::max(entry.value, now * 1000) + cost;
    const int64_t over = full_again - now * 1000 - most;
    if (over > 0) return {&limit, charge.count > limit.count ? 0 : (over + 999'999) / 1'000'000, false};
    entry.value = full_again;
    return {};
  }
  if (const auto day = static_cast<int32_t>(now / kDay); limit.kind == LimitKind::kDay && entry.day < day) {
    entry.day = day;
    entry.value = 0;
  }
  if (charge.count > limit.count - entry.value) {
    const bool comes_back = limit.kind == LimitKind::kDay && charge.count <= limit.count;
    return {&limit, comes_back ? (kDay - now % kDay + 999) / 1000 : 0, false};
  }
  entry.value += charge.count;
  return {};
}

Ledger::Taken Ledger::taken(const Charge& charge, Milliseconds now) {
  const int64_t unit = charge.limit->kind == LimitKind::kRate ? share(*charge.limit) : 1;
  return {charge.key, charge.limit->kind, unit * charge.count, now};
}

void Ledger::give_back(const Taken& taken, Milliseconds now) {
  Shard& shard = shard_of(taken.key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(taken.key);
  if (found == shard.entries.end()) return;
  Entry& entry = found->second;
  // Another day's budget has not been charged.
  if (taken.kind == LimitKind::kDay && entry.day != taken.when / kDay) return;
  int64_t value = taken.value;
  if (taken.kind == LimitKind::kRate) value -= std::clamp<int64_t>((now - taken.when) * 1000, 0, value);
  entry.value = std::max<int64_t>(0, entry.value - value);
}

Ledger::Refused Ledger::take(const std::vector<Charge>& charges, Milliseconds now) {
  for (size_t i = 0; i < charges.size(); ++i) {
    const Refused refused = take_one(charges[i], now);
    if (refused.limit == nullptr) continue;
    while (i-- > 0) give_back(taken(charges[i], now), now);
    return refused;
  }
  return {};
}

size_t Ledger::size() const {
  size_t sum = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.entries.size();
  }
  return sum;
}

std::string Ledger::save(Milliseconds now) const {
  std::string out(kMark);
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, entry] : shard.entries) {
      if (is_spent(entry, now)) continue;
      append(out, key[0], 8);
      append(out, key[1], 8);
      append(out, static_cast<uint64_t>(entry.value), 8);
      append(out, static_cast<uint32_t>(entry.day), 4);
      append(out, static_cast<uint64_t>(entry.kind), 1);
    }
  }
  const Digest digest = crypto::sha256(out);
  out += as_text(digest);
  return out;
}

bool Ledger::restore(std::string_view saved) {
  constexpr size_t kDigestBytes = sizeof(Digest);
  if (saved.size() < kMark.size() + kDigestBytes || !saved.starts_with(kMark)) return false;
  const std::string_view body = saved.substr(0, saved.size() - kDigestBytes);
  if (as_text(crypto::sha256(body)) != saved.substr(body.size())) return false;
  if ((body.size() - kMark.size()) % kSavedBytes != 0) return false;
  for (size_t at = kMark.size(); at < body.size(); at += kSavedBytes) {
    const Key key{read(body, at, 8), read(body, at + 8, 8)};
    Entry entry;
    entry.value = static_cast<int64_t>(read(body, at + 16, 8));
    entry.day = static_cast<int32_t>(read(body, at + 24, 4));
    const uint64_t kind = read(body, at + 28, 1);
    if (kind > static_cast<uint64_t>(LimitKind::kTotal) || entry.value < 0) return false;
    entry.kind = static_cast<LimitKind>(kind);
    if (entry.kind == LimitKind::kRate && entry.value > kLatestMicroseconds) return false;
    auto& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.entries.find(key);
    if (found == shard.entries.end()) {
      if (shard.entries.size() < room_) shard.entries.emplace(key, entry);
      continue;
    }
    Entry& known = found->second;
    if (entry.kind == LimitKind::kDay && entry.day > known.day) {
      known = entry;
    } else if (entry.kind != LimitKind::kDay || entry.day == known.day) {
      known.value = std::max(known.value, entry.value);
    }
  }
  return true;
}

}  // namespace rules

Policy::Counters::Counters(size_t max_entries) : impl_(new Impl{rules::Ledger(max_entries)}) {}
Policy::Counters::~Counters() = default;
void Policy::Counters::give_back(const Decision& decision, Milliseconds now) {
  if (!decision.taken) return;
  for (const auto& taken : decision.taken->charges) impl_->ledger.give_back(taken, now);
}
size_t Policy::Counters::size() const { return impl_->ledger.size(); }
std::string Policy::Counters::save(Milliseconds now) const { return impl_->ledger.save(now); }
bool Policy::Counters::restore(std::string_view saved) { return impl_->ledger.restore(saved); }

}  // namespace behalf::sdk
