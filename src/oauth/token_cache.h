// Which access tokens are ours, by hash: a token found here with its lineage node needs no signature check,
// because we made it. It decides nothing: whether the node still lives is asked of the store.
//
// Bounded: two generations, the older dropped when the younger is full. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/time.h"
#include "model/ids.h"

namespace behalf::oauth {

class TokenCache {
 public:
  explicit TokenCache(size_t capacity = 65536) : half_(capacity / 2) {}
  void remember(std::string_view token, const NodeId& node);
  std::optional<NodeId> find(std::string_view token);

 private:
  struct DigestHash {
    size_t operator()(const Digest& digest) const noexcept;
  };
  using Generation = std::unordered_map<Digest, NodeId, DigestHash>;
  const size_t half_;
  std::mutex mutex_;
  Generation young_;  // guarded by mutex_
  Generation old_;    // guarded by mutex_
};

}  // namespace behalf::oauth
