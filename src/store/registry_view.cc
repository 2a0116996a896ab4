#include "store/registry_view.h"

#include <algorithm>
#include <mutex>

#include "base/uri.h"

namespace behalf::store {
namespace {

template <class T>
std::shared_ptr<const T> find_in(const ById<T>& table, std::string_view id) {
  const auto found = table.find(id);
  return found == table.end() ? nullptr : found->second;
}

template <class T>
std::vector<std::shared_ptr<const T>> sorted(const ById<T>& table) {
  std::vector<std::shared_ptr<const T>> all;
  all.reserve(table.size());
  for (const auto& [id, value] : table) {
    if constexpr (requires { value->status; }) {
      if (value->status == Status::kDeleted) continue;
    }
    all.push_back(value);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return all;
}

}  // namespace

std::shared_ptr<const Agent> RegistryView::find_agent(std::string_view id) const {
  const std::shared_lock lock(mutex_);
  auto agent = find_in(tables_.agents, id);
  return agent != nullptr && agent->status == Status::kDeleted ? nullptr : agent;
}

std::shared_ptr<const Client> RegistryView::find_client(std::string_view id) const {
  const std::shared_lock lock(mutex_);
  auto client = find_in(tables_.clients, id);
  return client != nullptr && client->status == Status::kDeleted ? nullptr : client;
}

std::shared_ptr<const Resource> RegistryView::find_resource(std::string_view uri) const {
  const std::shared_lock lock(mutex_);
  if (auto exact = find_in(tables_.resources, uri)) return exact;
  const auto canonical = canonical_resource(uri);
  return canonical ? find_in(resource_spellings_, *canonical) : nullptr;
}

int64_t RegistryView::last_epoch(std::string_view id) const {
  const std::shared_lock lock(mutex_);
  const auto agent = find_in(tables_.agents, id);
  const auto client = find_in(tables_.clients, id);
  return std::max(agent == nullptr ? 0 : agent->epoch, client == nullptr ? 0 : client->epoch);
}

std::vector<std::shared_ptr<const Agent>> RegistryView::agents() const {
  const std::shared_lock lock(mutex_);
  return sorted(tables_.agents);
}

std::vector<std::shared_ptr<const Client>> RegistryView::clients() const {
  const std::shared_lock lock(mutex_);
  return sorted(tables_.clients);
}

std::vector<std::shared_ptr<const Resource>> RegistryView::resources() const {
  const std::shared_lock lock(mutex_);
  return sorted(tables_.resources);
}

void RegistryView::replace(RegistryTables tables) {
  const std::unique_lock lock(mutex_);
  tables_ = std::move(tables);
  index_resources();
}

void RegistryView::merge(const RegistryTables& changed, const std::vector<std::string>& removed_resources) {
  const std::unique_lock lock(mutex_);
  for (const auto& [id, agent] : changed.agents) tables_.agents.insert_or_assign(id, agent);
  for (const auto& [id, client] : changed.clients) tables_.clients.insert_or_assign(id, client);
  for (const auto& [id, resource] : changed.resources) tables_.resources.insert_or_assign(id, resource);
  for (const std::string& id : removed_resources) {
    if (!changed.resources.contains(id)) tables_.resources.erase(id);
  }
  if (!changed.resources.empty() || !removed_resources.empty()) index_resources();
}

void RegistryView::index_resources() {
  resource_spellings_.clear();
  for (const auto& [id, resource] : tables_.resources) {
    if (const auto canonical = canonical_resource(id))
      resource_spellings_.insert_or_assign(*canonical, resource);
    for (const std::string& alias : resource->aliases) {
      if (const auto canonical = canonical_resource(alias))
        resource_spellings_.insert_or_assign(*canonical, resource);
    }
  }
}

}  // namespace behalf::store
