// Tokens that were verified before, found again by the SHA-256 of the whole token. Only what a verifier has
// accepted once comes in, so nobody can fill it with rubbish; what is asked of an entry on every use (time,
// revocations, keys) is the verifier's. Tokens that are shown once and never again do not push out those that
// are shown again and again.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "behalf/delegation.h"

namespace behalf::sdk {

struct SeenToken {
  std::shared_ptr<const Delegation> delegation;  // null: not seen
  uint64_t revocations = 0;                      // Revocations::version() it was last held against
  uint64_t keys = 0;                             // the same of the key set
};

class SeenTokens {
 public:
  explicit SeenTokens(size_t entries) {
    if (entries == 0) return;
    const size_t ways = (entries + kShards - 1) / kShards;
    for (Shard& shard : shards_) shard.sets.resize((ways + kWays - 1) / kWays);
  }

  SeenToken find(const Digest& digest) {
    Shard& shard = shards_[shard_of(digest)];
    const std::lock_guard lock(shard.mutex);
    Entry* entry = shard.find(digest);
    if (entry == nullptr) return {};
    entry->used = ++shard.uses;
    entry->was_asked_again = true;
    return entry->seen;
  }

  void remember(const Digest& digest, SeenToken seen) {
    Shard& shard = shards_[shard_of(digest)];
    const std::lock_guard lock(shard.mutex);
    if (Entry* entry = shard.find(digest)) {
      entry->seen = std::move(seen);
      entry->used = ++shard.uses;
    } else if (Entry* place = shard.place_for(digest)) {
      *place = Entry{digest, std::move(seen), ++shard.uses};
    }
  }

  void forget(const Digest& digest) {
    Shard& shard = shards_[shard_of(digest)];
    const std::lock_guard lock(shard.mutex);
    if (Entry* entry = shard.find(digest)) *entry = Entry();
  }

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kWays = 4;  // places one digest may take
  // Who was asked about again keeps its place while its shard is used this often for each of its entries.
  static constexpr size_t kStay = 4;

  struct Entry {
    Digest digest{};
    SeenToken seen;
    uint64_t used = 0;
    bool was_asked_again = false;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    uint64_t uses = 0;
    std::vector<std::array<Entry, kWays>> sets;

    std::array<Entry, kWays>* set_of(const Digest& digest) {
      if (sets.empty()) return nullptr;
      uint64_t number = 0;
      std::memcpy(&number, digest.data() + 8, sizeof number);
      return &sets[number % sets.size()];
    }
    Entry* find(const Digest& digest) {
      std::array<Entry, kWays>* set = set_of(digest);
      if (set == nullptr) return nullptr;
      for (Entry& entry : *set) {
        if (entry.seen.delegation && entry.digest == digest) return &entry;
      }
      return nullptr;
    }
    // The one that was idle longest makes room, of those that need not stay if there are any.
    Entry* place_for(const Digest& digest) {
      std::array<Entry, kWays>* set = set_of(digest);
      if (set == nullptr) return nullptr;
      const uint64_t span = kStay * kWays * sets.size();
      const auto rank = [&](const Entry& entry) {
        return std::pair(entry.was_asked_again && uses - entry.used < span, entry.used);
      };
      return &*std::min_element(set->begin(), set->end(), [&](const Entry& left, const Entry& right) {
        return rank(left) < rank(right);
      });
    }
  };

  static size_t shard_of(const Digest& digest) { return digest[0] % kShards; }
  std::array<Shard, kShards> shards_;
};

}  // namespace behalf::sdk
