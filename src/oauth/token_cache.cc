#include "oauth/token_cache.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

#include "crypto/hash.h"

namespace behalf::oauth {

void TokenCache::Free::operator()(Set* sets) const { std::free(sets); }

TokenCache::TokenCache(size_t capacity)
    : count_(std::bit_ceil((std::max(capacity, kWays) + kWays - 1) / kWays)),
      // calloc, because the pages of a large zeroed block come into being when they are first written.
      sets_(static_cast<Set*>(std::calloc(count_, sizeof(Set)))) {
  if (sets_ == nullptr) throw std::bad_alloc();
}

TokenCache::Set& TokenCache::set_of(const Digest& digest) {
  size_t place = 0;
  std::memcpy(&place, digest.data(), sizeof place);
  return sets_[place & (count_ - 1)];
}

void TokenCache::remember(std::string_view token, const NodeId& node) {
  if (node.text().size() != kOrderedIdLength) return;
  const Digest digest = crypto::sha256(token);
  const std::lock_guard lock(mutex_);
  Set& set = set_of(digest);
  const auto same = std::find_if(set.begin(), set.end(), [&](const Entry& e) { return e.digest == digest; });
  Entry& place = same != set.end() ? *same : *std::max_element(set.begin(), set.end(), [](auto& a, auto& b) {
    const bool a_is_free = a.node[0] == 0;
    const bool b_is_free = b.node[0] == 0;
    return a_is_free != b_is_free ? b_is_free : a.age < b.age;
  });
  for (Entry& entry : set) {
    if (entry.age < UINT8_MAX) ++entry.age;
  }
  place.digest = digest;
  std::copy(node.text().begin(), node.text().end(), place.node.begin());
  place.age = 0;
}

std::optional<NodeId> TokenCache::find(std::string_view token) {
  const Digest digest = crypto::sha256(token);
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : set_of(digest)) {
    if (entry.digest == digest && entry.node[0] != 0)
      return NodeId(std::string_view(entry.node.data(), entry.node.size()));
  }
  return std::nullopt;
}

}  // namespace behalf::oauth
