#include "model/revocation.h"

#include <algorithm>

namespace behalf {
namespace {

bool is_at_most(const AllowList& list, const AllowList& other) {
  if (other.everyone) return true;
  return !list.everyone && std::all_of(list.names.begin(), list.names.end(),
                                       [&](const std::string& name) { return other.allows(name); });
}

}  // namespace

std::string_view name_of(RevokedKind kind) {
  switch (kind) {
    case RevokedKind::kPrincipal:
      return "principal";
    case RevokedKind::kGrant:
      return "grant";
    case RevokedKind::kToken:
      return "token";
    case RevokedKind::kKey:
      return "key";
    case RevokedKind::kResource:
      return "resource";
  }
  return "token";
}

std::string_view narrowing_of(const User& was, const User& is) {
  if (!is.entitlements) return {};
  const bool is_less = !was.entitlements || !was.entitlements->is_at_most(*is.entitlements);
  return is_less ? "user_entitlements_narrowed" : std::string_view{};
}

std::string_view narrowing_of(const Agent& was, const Agent& is) {
  if (!was.scopes.is_at_most(is.scopes)) return "agent_scopes_narrowed";
  if (!is_at_most(was.clients, is.clients)) return "agent_clients_narrowed";
  if (!is_at_most(was.users, is.users)) return "agent_users_narrowed";
  if (!is_at_most(was.resources, is.resources)) return "agent_resources_narrowed";
  if (!is_at_most(was.onward.to, is.onward.to) || was.onward.depth > is.onward.depth)
    return "agent_onward_narrowed";
  return {};
}

std::string_view narrowing_of(const Client& was, const Client& is) {
  return was.scopes.is_at_most(is.scopes) ? std::string_view{} : "client_scopes_narrowed";
}

std::string_view narrowing_of(const Resource& was, const Resource& is) {
  return was.scope_set().is_at_most(is.scope_set()) ? std::string_view{} : "resource_scopes_narrowed";
}

std::vector<std::string_view> hidden_names(const Node& node, const Resource* resource) {
  std::vector<std::string_view> hidden;
  const bool shows_outermost_only =
      resource != nullptr && resource->chain_disclosure == ChainDisclosure::kOutermost;
  if (node.hides_act || shows_outermost_only) {
    for (size_t i = node.hides_act ? 0 : 1; i < node.chain.depth(); ++i)
      hidden.push_back(node.chain.actors[i].id);
    for (const ClientStamp& client : node.via) hidden.push_back(client.id.text());
  }
  const bool renames_people = resource != nullptr && resource->subject_type == SubjectType::kPairwise;
  if (renames_people && node.subject.kind == SubjectKind::kUser) hidden.push_back(node.subject.id);
  std::sort(hidden.begin(), hidden.end());
  hidden.erase(std::unique(hidden.begin(), hidden.end()), hidden.end());
  return hidden;
}

bool is_offline_token(const Node& node, UnixTime now) {
  return node.kind == NodeKind::kAccessToken && node.secret_hash.empty() && !node.is_actor_token &&
         node.expires_at > now;
}

}  // namespace behalf
