#include "oauth/token_cache.h"

#include <cstring>

#include "crypto/hash.h"

namespace behalf::oauth {

size_t TokenCache::DigestHash::operator()(const Digest& digest) const noexcept {
  size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

void TokenCache::remember(std::string_view token, const NodeId& node) {
  const Digest digest = crypto::sha256(token);
  const std::lock_guard lock(mutex_);
  if (young_.size() >= half_) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(digest, node);
}

std::optional<NodeId> TokenCache::find(std::string_view token) {
  const Digest digest = crypto::sha256(token);
  const std::lock_guard lock(mutex_);
  if (const auto found = young_.find(digest); found != young_.end()) return found->second;
  if (const auto found = old_.find(digest); found != old_.end()) return found->second;
  return std::nullopt;
}

}  // namespace behalf::oauth
