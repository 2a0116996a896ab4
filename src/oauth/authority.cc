#include "oauth/authority.h"

#include <algorithm>

#include "base/json.h"
#include "base/uri.h"

namespace behalf::oauth {

Answer<std::optional<ScopeSet>> read_scope(const http::Form& form) {
  if (!form.has("scope")) return std::optional<ScopeSet>{};
  auto scope = ScopeSet::parse(form.get("scope"));
  if (!scope || scope->empty())
    return refuse(ErrorCode::kInvalidScope, "scope is malformed", "scope_malformed");
  return std::optional<ScopeSet>(std::move(*scope));
}

Answer<std::shared_ptr<const Resource>> read_target(const Call& call, const http::Form& form) {
  const auto& registry = call.services.store.registry();
  std::shared_ptr<const Resource> target;
  const auto take = [&](std::string_view name) -> Answer<Fine> {
    auto resource = registry.find_resource(name);
    if (resource == nullptr)
      return refuse(ErrorCode::kInvalidTarget, "the resource is not known here", "target_unknown");
    if (target != nullptr && target->id != resource->id) {
      return refuse(ErrorCode::kInvalidTarget, "one token has one audience; ask again for the next",
                    "several_targets");
    }
    target = std::move(resource);
    return Fine{};
  };
  for (const std::string_view name : form.all("resource")) {
    if (name.empty()) continue;
    if (!canonical_resource(name)) {
      return refuse(ErrorCode::kInvalidTarget, "resource must be an absolute URI without fragment",
                    "target_malformed");
    }
    TRY(take(name));
  }
  for (const std::string_view name : form.all("audience")) {
    if (!name.empty()) TRY(take(name));
  }
  return target;
}

Answer<ScopeSet> narrow(store::ReadTransaction& transaction, const std::optional<ScopeSet>& requested,
                        const ScopeSet& parent, const ScopeCeilings& ceilings) {
  ScopeSet most = ceilings.resource->scope_set();
  most.keep_only(ceilings.client->scopes);
  for (const Actor& actor : ceilings.chain->actors) {
    if (actor.kind != ActorKind::kAgent) continue;
    const auto agent = transaction.find_agent(AgentId(actor.id));
    if (agent == nullptr)
      most = {};
    else
      most.keep_only(agent->scopes);
  }
  if (ceilings.subject->kind == SubjectKind::kUser) {
    const auto user = transaction.find_user(UserId(ceilings.subject->id));
    if (user == nullptr)
      most = {};
    else if (user->entitlements)
      most.keep_only(*user->entitlements);
  }
  auto granted = narrow_scope(requested, parent, {&most});
  if (granted) return std::move(granted).value();
  return refuse(ErrorCode::kInvalidScope, describe(granted.reason()),
                granted.reason() == ScopeRefusal::kWidening  ? "scope_widening"
                : granted.reason() == ScopeRefusal::kCeiling ? "scope_ceiling"
                                                             : "scope_empty");
}

ScopeSet server_scope_ceiling(store::ReadTransaction& transaction, const Client& client,
                              const Subject& subject) {
  const ScopeSet most = server_scopes().intersect(client.scopes);
  if (subject.kind != SubjectKind::kAgent) return most;
  const auto agent = transaction.find_agent(AgentId(subject.id));
  return agent == nullptr ? ScopeSet{} : most.intersect(agent->scopes);
}

ScopeSet still_allowed(store::ReadTransaction& transaction, const Node& node, const Resource* resource) {
  const auto client = transaction.find_client(node.client);
  if (client == nullptr) return {};
  if (node.scope.shares_any(server_scopes())) {
    return node.scope.intersect(server_scope_ceiling(transaction, *client, node.subject));
  }
  if (resource == nullptr) return {};  // it was taken out of the registry
  const auto left =
      narrow(transaction, std::nullopt, node.scope,
             {.client = client.get(), .chain = &node.chain, .subject = &node.subject, .resource = resource});
  return left ? *left : ScopeSet{};
}

std::string_view why_not_allowed(const Agent& agent, const Client& client, const Subject& subject,
                                 const Resource* resource) {
  if (!agent.is_active()) return "agent_inactive";
  if (!agent.clients.allows(client.id.text()) && client.agent != agent.id) return "agent_not_for_this_client";
  if (subject.kind == SubjectKind::kUser && !agent.users.allows(subject.id)) return "agent_not_for_this_user";
  if (resource != nullptr && !agent.resources.allows(resource->id.text()))
    return "agent_not_for_this_resource";
  return {};
}

Seconds access_token_lifetime(store::ReadTransaction& transaction, const Settings& settings,
                              const Client& client, const DelegationChain& chain, const Resource* resource) {
  Seconds lifetime = std::min(settings.access_token_lifetime_limit, client.access_token_lifetime);
  for (const Actor& actor : chain.actors) {
    if (actor.kind != ActorKind::kAgent) continue;
    if (const auto agent = transaction.find_agent(AgentId(actor.id))) {
      lifetime = std::min(lifetime, agent->access_token_lifetime);
    }
  }
  if (resource != nullptr && resource->access_token_lifetime)
    lifetime = std::min(lifetime, *resource->access_token_lifetime);
  return lifetime;
}

std::optional<Seconds> refresh_token_lifetime(store::ReadTransaction& transaction, const Client& client,
                                              const DelegationChain& chain) {
  std::optional<Seconds> lifetime = client.refresh_lifetime;
  for (const Actor& actor : chain.actors) {
    std::optional<Seconds> own;
    if (actor.kind == ActorKind::kAgent) {
      if (const auto agent = transaction.find_agent(AgentId(actor.id))) own = agent->refresh_lifetime;
    } else if (const auto service = transaction.find_client(ClientId(actor.id))) {
      own = service->refresh_lifetime;
    }
    if (!own) return std::nullopt;
    lifetime = lifetime ? std::min(*lifetime, *own) : *own;
  }
  return lifetime;
}

std::string_view missing_acr(const Resource& target, const ScopeSet& scopes,
                             const std::optional<SignIn>& sign_in) {
  const std::string_view has = sign_in ? std::string_view(sign_in->acr) : std::string_view{};
  for (const std::string& name : scopes.tokens()) {
    const ScopeDefinition* scope = target.find_scope(name);
    const std::string_view wanted =
        scope != nullptr && !scope->required_acr.empty() ? scope->required_acr : target.required_acr;
    if (!wanted.empty() && wanted != has) return wanted;
  }
  return {};
}

Refused<OAuthError> refuse_until_step_up(StepUpDialect dialect, std::string_view acr) {
  constexpr std::string_view kDescription = "the person must sign in in a stronger way";
  constexpr std::string_view kReason = "step_up_required";
  std::string extra;
  if (dialect == StepUpDialect::kRfc9470) {
    extra = ",\"acr_values\":";
    json::append_string(extra, acr);
    return refuse(ErrorCode::kInsufficientUserAuthentication, kDescription, kReason, extra);
  }
  std::string claims = "{\"access_token\":{\"acrs\":{\"essential\":true,\"value\":";
  json::append_string(claims, acr);
  claims += "}}}";
  extra = ",\"claims\":";
  json::append_string(extra, claims);
  return refuse(ErrorCode::kInteractionRequired, kDescription, kReason, extra);
}

std::optional<UnixTime> usable_end(UnixTime now, UnixTime end) {
  const UnixTime whole = UnixTime::from_seconds(end.seconds());
  if (whole.seconds() <= now.seconds()) return std::nullopt;
  return whole;
}

}  // namespace behalf::oauth
