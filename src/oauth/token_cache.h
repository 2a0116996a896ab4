// Which access tokens are ours, by hash: a token found here with its lineage node needs no signature check,
// because we made it. It decides nothing: whether the node still lives is asked of the store.
//
// Bounded: sets of four entries, chosen by the hash; a fifth replaces the set's oldest. Nothing is allocated
// after the start, and what was never used never becomes memory. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "model/ids.h"

namespace behalf::oauth {

class TokenCache {
 public:
  // `capacity`: tokens; rounded up to a power of two, at least 4. One that is not found costs a signature
  // check, so there is room for those of some minutes of a busy server: 59 bytes each, once it has been used.
  explicit TokenCache(size_t capacity = 262'144);
  // `node` is an ordered id (model/ids.h); any other is not remembered.
  void remember(std::string_view token, const NodeId& node);
  std::optional<NodeId> find(std::string_view token);

 private:
  static constexpr size_t kWays = 4;
  struct Entry {
    Digest digest;
    std::array<char, kOrderedIdLength> node;  // all zero: free
    uint8_t age;                              // 0 is the newest of its set
  };
  using Set = std::array<Entry, kWays>;
  struct Free {
    void operator()(Set* sets) const;
  };

  Set& set_of(const Digest& digest);

  const size_t count_;  // of sets, a power of two
  std::mutex mutex_;
  const std::unique_ptr<Set[], Free> sets_;  // guarded by mutex_
};

}  // namespace behalf::oauth
