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

ScopeSet scopes_through(const ScopeSet& scope, const Resource* at) {
  ScopeSet most = scope;
  if (at == nullptr) return most;
  for (const ScopeMapping& mapping : at->scope_map) {
    if (scope.contains(mapping.scope)) most = most.unite(mapping.gives);
  }
  return most;
}

namespace {

// Each agent that was passed on from, beginning with the one that acts alone, whether it still passes on to
// the next, and so far.
std::string_view why_not_passed_on(store::ReadTransaction& transaction, const Node& node) {
  const auto& actors = node.chain.actors;
  for (size_t hops = 1; hops <= actors.size(); ++hops) {
    AgentId from;
    if (hops < actors.size()) {
      if (actors[hops].kind != ActorKind::kAgent) continue;
      from = AgentId(actors[hops].id);
    } else {
      if (node.subject.kind != SubjectKind::kAgent) continue;
      from = AgentId(node.subject.id);
    }
    const auto agent = transaction.find_agent(from);
    if (agent == nullptr) return "agent_inactive";
    if (!agent->onward.to.allows(actors[hops - 1].id)) return "onward_forbidden";
    if (hops > static_cast<size_t>(std::max(0, agent->onward.depth))) return "onward_depth_used_up";
  }
  return {};
}

// What one token of the lineage stands for, of the `scope` that is left of it.
Standing stands_at(store::ReadTransaction& transaction, const Subject& subject, const DelegationChain& chain,
                   const ClientId& client_id, const Resource* resource, const ScopeSet& scope) {
  const auto client = transaction.find_client(client_id);
  if (client == nullptr || resource == nullptr) return {};  // it was taken out of the registry
  if (const Actor* actor = chain.outermost(); actor != nullptr && actor->kind == ActorKind::kAgent) {
    const auto agent = transaction.find_agent(AgentId(actor->id));
    const std::string_view refused =
        agent == nullptr ? "agent_inactive" : why_not_allowed(*agent, *client, subject, resource);
    if (!refused.empty()) return {{}, refused};
  }
  const auto left =
      narrow(transaction, std::nullopt, scope,
             {.client = client.get(), .chain = &chain, .subject = &subject, .resource = resource});
  return {left ? *left : ScopeSet{}, {}};
}

}  // namespace

Standing what_stands(store::ReadTransaction& transaction, const Node& node, const Resource* resource) {
  if (node.scope.shares_any(server_scopes())) {
    const auto client = transaction.find_client(node.client);
    if (client == nullptr) return {};
    return {node.scope.intersect(server_scope_ceiling(transaction, *client, node.subject)), {}};
  }
  if (const std::string_view refused = why_not_passed_on(transaction, node); !refused.empty())
    return {{}, refused};
  ScopeSet scope = node.scope;
  std::optional<ScopeSet> reach;  // what was left to be passed on so far
  for (const PassedOn& token : node.passed_on) {
    const auto at = transaction.find_resource(token.resource);
    DelegationChain then;
    then.actors.assign(
        node.chain.actors.end() - static_cast<std::ptrdiff_t>(std::min(token.depth, node.chain.depth())),
        node.chain.actors.end());
    Standing standing = stands_at(transaction, node.subject, then, token.client, at.get(),
                                  reach ? token.scope.intersect(*reach) : token.scope);
    if (standing.scope.empty()) return standing;
    reach = scopes_through(standing.scope, at.get());
  }
  if (reach) scope.keep_only(*reach);
  return stands_at(transaction, node.subject, node.chain, node.client, resource, scope);
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

Seconds limit_passed_on(store::ReadTransaction& transaction, const Subject& subject,
                        const DelegationChain& chain, Seconds lifetime) {
  const auto limit = [&](const std::string& id) {
    const auto agent = transaction.find_agent(AgentId(id));
    if (agent != nullptr && agent->onward.lifetime) lifetime = std::min(lifetime, *agent->onward.lifetime);
  };
  for (size_t i = 1; i < chain.depth(); ++i) {
    if (chain.actors[i].kind == ActorKind::kAgent) limit(chain.actors[i].id);
  }
  // The agent that acts alone passes on to the first of the chain.
  if (subject.kind == SubjectKind::kAgent && !chain.empty()) limit(subject.id);
  return lifetime;
}

std::optional<Seconds> refresh_token_lifetime(store::ReadTransaction& transaction, const Client& client,
                                              const DelegationChain& chain) {
  if (!client.may_use("refresh_token")) return std::nullopt;
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
