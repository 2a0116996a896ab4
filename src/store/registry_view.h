// Agents, clients and resources in memory: read by every thread on the hot path, replaced after each commit.
#pragma once

#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/registry.h"

namespace behalf::store {

struct TextHash {
  using is_transparent = void;
  // Not noexcept: that is how the library is told to keep each hash beside its key, and not to compute it
  // again for every key it passes on the way to another.
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using ById = std::unordered_map<std::string, std::shared_ptr<const T>, TextHash, std::equal_to<>>;

struct RegistryTables {
  ById<Agent> agents;
  ById<Client> clients;
  ById<Resource> resources;
};

// Thread-safe.
class RegistryView {
 public:
  // Null where there is none, and for what has been deleted.
  std::shared_ptr<const Agent> find_agent(std::string_view id) const;
  std::shared_ptr<const Client> find_client(std::string_view id) const;
  // By identifier or alias, compared in canonical form (RFC 8707; decision C-11).
  std::shared_ptr<const Resource> find_resource(std::string_view uri) const;
  // The last epoch that id had as an agent or client, deleted ones included; 0 if it never was one.
  int64_t last_epoch(std::string_view id) const;
  // In order of id, without what has been deleted.
  std::vector<std::shared_ptr<const Agent>> agents() const;
  std::vector<std::shared_ptr<const Client>> clients() const;
  std::vector<std::shared_ptr<const Resource>> resources() const;

  // For the store alone.
  void replace(RegistryTables tables);
  void merge(const RegistryTables& changed, const std::vector<std::string>& removed_resources);

 private:
  void index_resources();
  mutable std::shared_mutex mutex_;
  RegistryTables tables_;              // guarded by mutex_
  ById<Resource> resource_spellings_;  // canonical id and aliases; guarded by mutex_
};

}  // namespace behalf::store
