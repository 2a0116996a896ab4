#include "oauth/verifying_keys.h"

namespace behalf::oauth {

VerifyingKeys::Set VerifyingKeys::get(const std::string& id, int64_t version, const json::Value& jwks) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found != entries_.end() && found->second.version == version) return found->second.keys;
  }
  auto keys = std::make_shared<std::vector<crypto::VerifyingKey>>();
  if (!jwks.is_null()) {
    auto imported = crypto::import_key_set(jwks);
    if (imported) *keys = std::move(imported).value();
  }
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kCapacity) entries_.clear();
  entries_.insert_or_assign(id, Entry{version, keys});
  return keys;
}

}  // namespace behalf::oauth
