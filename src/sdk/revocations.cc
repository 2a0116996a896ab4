// 4096 buckets by the first bits of a fingerprint, each one block of 14 bytes an item, sorted, never changed
// once it can be read: an addition copies its bucket (a few kilobytes when a million items are kept) and
// swaps it.
//
// Only a keyed 64-bit fingerprint of an id is kept. That two of a million items and a live token collide by
// accident has a chance of one in 10^13; by intention it needs the key, which never leaves the process. A
// collision would refuse a good token, never accept a revoked one.
#include "behalf/revocations.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

#include "crypto/hash.h"
#include "sdk/read_section.h"

namespace behalf::sdk {
namespace {

constexpr size_t kKinds = 5;
constexpr unsigned kBucketBits = 12;
constexpr size_t kBuckets = size_t{1} << kBucketBits;
constexpr size_t kAllocation = 16;  // what the allocator keeps beside a block, on average

// When it was revoked and how long it matters, in 48 bits: milliseconds since 2020 (until 2089), and the span
// in steps of 64 s, rounded up.
class Stamp {
 public:
  static constexpr Milliseconds kOrigin = 1'577'836'800'000;
  static constexpr Milliseconds kLatest = (Milliseconds{1} << 41) - 1;
  static constexpr Milliseconds kStep = 64'000;
  static constexpr uint64_t kForEver = 127;  // a span that does not fit is never forgotten

  Stamp() = default;
  explicit Stamp(uint64_t bits) : bits_(bits) {}
  Stamp(Milliseconds at, Milliseconds until) {
    const Milliseconds since = std::clamp<Milliseconds>(at - kOrigin, 0, kLatest);
    const Milliseconds span = std::max<Milliseconds>(until - (since + kOrigin), 0);
    const Milliseconds steps = span / kStep + (span % kStep == 0 ? 0 : 1);
    bits_ = static_cast<uint64_t>(since) << 7 | std::min(static_cast<uint64_t>(steps), kForEver);
  }

  uint64_t bits() const { return bits_; }
  Milliseconds at() const { return static_cast<Milliseconds>(bits_ >> 7) + kOrigin; }
  bool is_over(Milliseconds now) const {
    const uint64_t steps = bits_ & kForEver;
    return steps != kForEver && at() + static_cast<Milliseconds>(steps) * kStep < now;
  }
  // The later `at`, and remembered at least as long as either.
  Stamp joined(Stamp other) const {
    const Stamp& later = bits_ >> 7 >= other.bits_ >> 7 ? *this : other;
    return Stamp((later.bits_ & ~kForEver) | std::max(span_from(later.at()), other.span_from(later.at())));
  }

 private:
  uint64_t span_from(Milliseconds later) const {
    const uint64_t steps = bits_ & kForEver;
    if (steps == kForEver) return kForEver;
    return Stamp(later, at() + static_cast<Milliseconds>(steps) * kStep).bits_ & kForEver;
  }
  uint64_t bits_ = 0;
};

// Fingerprints, then the low and the high part of their stamps; one allocation.
class Block {
 public:
  struct Item {
    uint64_t fingerprint;
    Stamp stamp;
  };

  explicit Block(const std::vector<Item>& sorted)
      : count_(sorted.size()), bytes_(std::make_unique<unsigned char[]>(sorted.size() * kItemBytes)) {
    for (size_t i = 0; i < count_; ++i) {
      const uint64_t stamp = sorted[i].stamp.bits();
      const auto low = static_cast<uint32_t>(stamp);
      const auto high = static_cast<uint16_t>(stamp >> 32);
      std::memcpy(bytes_.get() + 8 * i, &sorted[i].fingerprint, 8);
      std::memcpy(bytes_.get() + 8 * count_ + 4 * i, &low, 4);
      std::memcpy(bytes_.get() + 12 * count_ + 2 * i, &high, 2);
    }
  }

  size_t count() const { return count_; }
  size_t bytes() const { return sizeof(Block) + count_ * kItemBytes + 2 * kAllocation; }
  uint64_t fingerprint(size_t i) const { return read<uint64_t>(8 * i); }
  Stamp stamp(size_t i) const {
    const uint64_t high = read<uint16_t>(12 * count_ + 2 * i);
    return Stamp(high << 32 | read<uint32_t>(8 * count_ + 4 * i));
  }
  std::vector<Item> items() const {
    std::vector<Item> items(count_);
    for (size_t i = 0; i < count_; ++i) items[i] = {fingerprint(i), stamp(i)};
    return items;
  }
  // The first place whose fingerprint is not smaller.
  size_t lower_bound(uint64_t wanted) const {
    size_t first = 0;
    for (size_t count = count_; count > 0;) {
      const size_t half = count / 2;
      const bool smaller = fingerprint(first + half) < wanted;
      if (smaller) first += half + 1;
      count = smaller ? count - half - 1 : half;
    }
    return first;
  }

 private:
  static constexpr size_t kItemBytes = 14;
  template <class Number>
  Number read(size_t offset) const {
    Number number;
    std::memcpy(&number, bytes_.get() + offset, sizeof number);
    return number;
  }
  size_t count_;
  std::unique_ptr<unsigned char[]> bytes_;
};

}  // namespace

struct Revocations::Impl {
  explicit Impl(Milliseconds oldest) : max_age(oldest) {}
  ~Impl() {
    for (auto& bucket : buckets) delete bucket.load(std::memory_order_relaxed);
  }

  uint64_t fingerprint(RevokedKind kind, std::string_view id) const {
    return keys[static_cast<size_t>(kind)](id);
  }

  // Writers hold `writing`. A null block is an empty bucket.
  void replace(std::atomic<const Block*>& bucket, std::unique_ptr<const Block> block) {
    if (block) bytes.fetch_add(block->bytes(), std::memory_order_relaxed);
    std::unique_ptr<const Block> old(bucket.exchange(block.release(), std::memory_order_seq_cst));
    if (!old) return;
    bytes.fetch_sub(old->bytes(), std::memory_order_relaxed);
    sections.retire(std::move(old));
  }

  bool add(uint64_t fingerprint, Stamp stamp) {
    std::atomic<const Block*>& bucket = buckets[fingerprint >> (64 - kBucketBits)];
    const Block* block = bucket.load(std::memory_order_relaxed);
    std::vector<Block::Item> items = block == nullptr ? std::vector<Block::Item>() : block->items();
    const size_t place = block == nullptr ? 0 : block->lower_bound(fingerprint);
    if (place < items.size() && items[place].fingerprint == fingerprint) {
      const Stamp joined = items[place].stamp.joined(stamp);
      if (joined.bits() == items[place].stamp.bits()) return false;  // said again
      items[place].stamp = joined;
    } else {
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(place), {fingerprint, stamp});
      size.fetch_add(1, std::memory_order_relaxed);
    }
    replace(bucket, std::make_unique<const Block>(items));
    return true;
  }

  // In a read section. False: not revoked.
  bool find(RevokedKind kind, std::string_view id, Milliseconds& at) const {
    const uint64_t wanted = fingerprint(kind, id);
    const Block* block = buckets[wanted >> (64 - kBucketBits)].load(std::memory_order_seq_cst);
    if (block == nullptr) return false;
    const size_t place = block->lower_bound(wanted);
    if (place == block->count() || block->fingerprint(place) != wanted) return false;
    at = block->stamp(place).at();
    return true;
  }
  bool has(RevokedKind kind, std::string_view id) const {
    Milliseconds at = 0;
    return !id.empty() && find(kind, id, at);
  }
  bool has_since(RevokedKind kind, std::string_view id, Milliseconds issued_at) const {
    Milliseconds at = 0;
    return !id.empty() && find(kind, id, at) && issued_at <= at;
  }

  const Milliseconds max_age;
  std::array<crypto::Fingerprint, kKinds> keys;
  std::mutex writing;
  ReadSections<std::unique_ptr<const Block>> sections;
  std::array<std::atomic<const Block*>, kBuckets> buckets{};
  std::atomic<size_t> size{0};
  std::atomic<size_t> bytes{0};
  std::atomic<uint64_t> version{0};
  std::atomic<Milliseconds> fresh{-1};  // negative: never
};

Revocations::Revocations(Milliseconds max_age) : impl_(std::make_unique<Impl>(max_age)) {}
Revocations::~Revocations() = default;

void Revocations::add(const Revocation& revocation) {
  const uint64_t fingerprint = impl_->fingerprint(revocation.kind, revocation.id);
  const std::lock_guard lock(impl_->writing);
  if (!impl_->add(fingerprint, Stamp(revocation.at, revocation.until))) return;
  impl_->version.fetch_add(1, std::memory_order_release);
}

size_t Revocations::forget_before(Milliseconds now) {
  size_t forgotten = 0;
  for (std::atomic<const Block*>& bucket : impl_->buckets) {
    const std::lock_guard lock(impl_->writing);
    const Block* block = bucket.load(std::memory_order_relaxed);
    if (block == nullptr) continue;
    std::vector<Block::Item> items = block->items();
    const size_t over =
        std::erase_if(items, [&](const Block::Item& item) { return item.stamp.is_over(now); });
    if (over == 0) continue;
    impl_->replace(bucket, items.empty() ? nullptr : std::make_unique<const Block>(items));
    impl_->size.fetch_sub(over, std::memory_order_relaxed);
    forgotten += over;
  }
  return forgotten;
}

bool Revocations::revokes(const Delegation& delegation) const {
  const Impl& impl = *impl_;
  if (impl.size.load(std::memory_order_acquire) == 0) return false;
  const ReadSections<std::unique_ptr<const Block>>::Section section(impl.sections);
  const auto is_ended = [&](std::string_view principal) {
    return impl.has_since(RevokedKind::kPrincipal, principal, delegation.issued_at);
  };
  if (impl.has(RevokedKind::kToken, delegation.token_id)) return true;
  if (impl.has(RevokedKind::kGrant, delegation.grant)) return true;
  if (impl.has(RevokedKind::kKey, delegation.key_id)) return true;
  if (impl.has_since(RevokedKind::kResource, delegation.resource, delegation.issued_at)) return true;
  if (is_ended(delegation.subject) || is_ended(delegation.client)) return true;
  for (const std::string& client : delegation.via) {
    if (is_ended(client)) return true;
  }
  for (const Hop& hop : delegation.chain) {
    if (is_ended(hop.subject)) return true;
  }
  return false;
}

void Revocations::fresh_as_of(Milliseconds steady) {
  Milliseconds known = impl_->fresh.load(std::memory_order_relaxed);
  while (known < steady && !impl_->fresh.compare_exchange_weak(known, steady, std::memory_order_release)) {
  }
}

Milliseconds Revocations::age(Milliseconds steady) const {
  const Milliseconds fresh = impl_->fresh.load(std::memory_order_acquire);
  return fresh < 0 ? -1 : std::max<Milliseconds>(steady - fresh, 0);
}

bool Revocations::is_stale(Milliseconds steady) const {
  if (impl_->max_age == 0) return false;
  const Milliseconds known_for = age(steady);
  return known_for < 0 || known_for > impl_->max_age;
}

uint64_t Revocations::version() const { return impl_->version.load(std::memory_order_acquire); }
size_t Revocations::size() const { return impl_->size.load(std::memory_order_relaxed); }
size_t Revocations::bytes() const { return sizeof(Impl) + impl_->bytes.load(std::memory_order_relaxed); }

}  // namespace behalf::sdk
