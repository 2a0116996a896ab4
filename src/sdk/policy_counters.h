// What has been let through, counted: rates as token buckets (each key remembers when its bucket will be full
// again), budgets as sums. Sharded; every shard has one mutex and a share of the room.
//
// Time comes from outside. What a key remembers only moves forward, so a clock that is set back gives nothing
// back. A key is a digest of the rule's name, what is counted and for whom, so that a counter is found again
// after a reload.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "behalf/policy.h"
#include "sdk/policy_rules.h"

namespace behalf::sdk {
namespace rules {

class Ledger {
 public:
  using Key = std::array<uint64_t, 2>;
  struct Charge {
    Key key{};
    const Limit* limit = nullptr;
    int64_t count = 0;
  };
  // A charge that was taken, without the policy it came from.
  struct Taken {
    Key key{};
    LimitKind kind = LimitKind::kRate;
    int64_t value = 0;  // as in an Entry
    Milliseconds when = 0;
  };
  struct Refused {
    const Limit* limit = nullptr;  // null: all were taken
    int64_t retry_after = 0;       // seconds; 0: waiting does not help
    bool is_full = false;          // no room for a new counter
  };

  explicit Ledger(size_t max_entries);

  static Key key_of(std::string_view rule, const Limit& limit, std::string_view id);
  // Takes all charges, or none.
  Refused take(const std::vector<Charge>& charges, Milliseconds now);
  static Taken taken(const Charge& charge, Milliseconds now);
  // Of a rate, only what time has not given back already.
  void give_back(const Taken& taken, Milliseconds now);

  size_t size() const;
  std::string save(Milliseconds now) const;
  bool restore(std::string_view saved);

 private:
  struct Entry {
    int64_t value = 0;  // budget: how many; rate: when the bucket is full again, in microseconds
    int32_t day = 0;    // of a daily budget: days since 1970
    LimitKind kind = LimitKind::kRate;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key[0]; }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, Entry, KeyHash> entries;
    Milliseconds swept = 0;
  };
  static constexpr size_t kShards = 16;

  static bool is_spent(const Entry& entry, Milliseconds now);
  Shard& shard_of(const Key& key) { return shards_[key[1] % kShards]; }
  Refused take_one(const Charge& charge, Milliseconds now);

  size_t room_;  // entries a shard
  std::array<Shard, kShards> shards_;
};

}  // namespace rules

struct Decision::Taken {
  std::vector<rules::Ledger::Taken> charges;
};

struct Policy::Counters::Impl {
  rules::Ledger ledger;
};

}  // namespace behalf::sdk
