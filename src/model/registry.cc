#include "model/registry.h"

#include <algorithm>

namespace behalf {

std::string_view name_of(Status status) {
  switch (status) {
    case Status::kActive:
      return "active";
    case Status::kSuspended:
      return "suspended";
    case Status::kDeleted:
      return "deleted";
  }
  return "deleted";
}

std::string_view name_of(ClientAuthMethod method) {
  switch (method) {
    case ClientAuthMethod::kNone:
      return "none";
    case ClientAuthMethod::kClientSecretBasic:
      return "client_secret_basic";
    case ClientAuthMethod::kClientSecretPost:
      return "client_secret_post";
    case ClientAuthMethod::kPrivateKeyJwt:
      return "private_key_jwt";
  }
  return "none";
}

bool AllowList::allows(std::string_view name) const {
  return everyone || std::find(names.begin(), names.end(), name) != names.end();
}

const Intent* Agent::find_intent(std::string_view intent) const {
  const auto found =
      std::find_if(intents.begin(), intents.end(), [&](const Intent& one) { return one.name == intent; });
  return found == intents.end() ? nullptr : &*found;
}

bool Client::may_use(std::string_view grant_type) const {
  return std::find(grant_types.begin(), grant_types.end(), grant_type) != grant_types.end();
}

ScopeSet Resource::scope_set() const {
  ScopeSet set;
  for (const ScopeDefinition& scope : scopes) set.add(scope.name);
  return set;
}

const ScopeDefinition* Resource::find_scope(std::string_view scope) const {
  for (const ScopeDefinition& definition : scopes) {
    if (definition.name == scope) return &definition;
  }
  return nullptr;
}

}  // namespace behalf
