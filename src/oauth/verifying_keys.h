// The parsed public keys of agents and clients, kept until their registration changes. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "crypto/jwk.h"

namespace behalf::oauth {

class VerifyingKeys {
 public:
  using Set = std::shared_ptr<const std::vector<crypto::VerifyingKey>>;
  // The keys of `jwks` as registered for `id` in `version`; an empty set where there are none that can be
  // used.
  Set get(const std::string& id, int64_t version, const json::Value& jwks);

 private:
  static constexpr size_t kCapacity = 4096;
  struct Entry {
    int64_t version;
    Set keys;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // guarded by mutex_
};

}  // namespace behalf::oauth
