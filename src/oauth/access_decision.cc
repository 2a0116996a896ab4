#include "oauth/access_decision.h"

#include <algorithm>

#include "oauth/authority.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

// One who acts: an agent, or a client that acts as itself.
struct ActingOne {
  std::shared_ptr<const Agent> agent;     // null: a service
  std::shared_ptr<const Client> service;  // null: an agent
};

// As the audit log calls it where an exchange is refused for it.
std::string_view word_for(DelegationRefusal refusal) {
  switch (refusal) {
    case DelegationRefusal::kLoop:
      return "chain_loop";
    case DelegationRefusal::kTooDeep:
      return "chain_too_deep";
    case DelegationRefusal::kOnwardForbidden:
      return "onward_forbidden";
    case DelegationRefusal::kConsentForbids:
      return "onward_depth_used_up";
  }
  return "chain_refused";
}

}  // namespace

// Everyone and everything a question names, as the registry has them.
struct AccessDecider::Asked {
  std::shared_ptr<const User> user;
  std::shared_ptr<const Resource> resource;
  std::shared_ptr<const Client> client;  // null: any
  std::vector<ActingOne> chain;          // newest first
  ScopeSet scopes;
};

const std::vector<Grant>& AccessDecider::live_grants(const std::string& person) {
  const auto known = grants_.find(person);
  if (known != grants_.end()) return known->second;
  store::GrantFilter filter;
  filter.user = person;
  filter.live_at = UnixTime{};  // also what has expired, to be able to say so
  filter.limit = SIZE_MAX;
  return grants_.emplace(person, transaction_.list_grants(filter)).first->second;
}

// By the id; or, where the resource knows people by names of its own, by such a name and the consent it came
// with.
std::shared_ptr<const User> AccessDecider::find_person(const AccessQuestion& question,
                                                       const Resource& resource) {
  auto user = transaction_.find_user(UserId(question.person));
  if (user != nullptr || question.grant.empty()) return user;
  const auto grant = transaction_.find_grant(GrantId(question.grant));
  if (grant == nullptr) return nullptr;
  const std::string name = services_.keys.pairwise_subject(resource.id.text(), grant->user.text());
  return name == question.person ? transaction_.find_user(grant->user) : nullptr;
}

std::string_view AccessDecider::find_everyone(const AccessQuestion& question, Asked& asked) {
  asked.resource = transaction_.find_resource(ResourceId(question.resource));
  if (asked.resource == nullptr) return "resource_unknown";
  asked.user = find_person(question, *asked.resource);
  if (asked.user == nullptr) return "person_unknown";
  if (!asked.user->is_active()) return "person_inactive";
  for (const std::string& scope : question.scopes) {
    if (asked.resource->find_scope(scope) == nullptr) return "scope_unknown";
    asked.scopes.add(scope);
  }
  if (asked.scopes.empty()) return "scope_missing";
  if (asked.user->entitlements && !asked.scopes.is_at_most(*asked.user->entitlements))
    return "scope_above_person";
  if (!question.client.empty()) {
    asked.client = transaction_.find_client(ClientId(question.client));
    if (asked.client == nullptr) return "client_unknown";
    if (!asked.client->is_active()) return "client_inactive";
    if (!asked.scopes.is_at_most(asked.client->scopes)) return "scope_above_client";
  }
  for (const std::string& name : question.chain) {
    ActingOne one;
    one.agent = transaction_.find_agent(AgentId(name));
    if (one.agent == nullptr) {
      one.service = transaction_.find_client(ClientId(name));
      if (one.service == nullptr) return "agent_unknown";
      // Whoever knows an agent by the client that it is.
      if (!one.service->agent.empty()) one.agent = transaction_.find_agent(one.service->agent);
    }
    if (one.agent != nullptr) {
      if (!one.agent->is_active()) return "agent_inactive";
      if (!one.agent->users.allows(asked.user->id.text())) return "agent_not_for_this_user";
      if (!one.agent->resources.allows(asked.resource->id.text())) return "agent_not_for_this_resource";
      if (!asked.scopes.is_at_most(one.agent->scopes)) return "scope_above_agent";
    } else if (!one.service->is_active()) {
      return "agent_inactive";
    }
    asked.chain.push_back(std::move(one));
  }
  return {};
}

// Each agent on the way must pass on to the next, within what the person and the earlier ones allow (I3).
std::string_view AccessDecider::why_not_passed_on(const Grant& grant, const Asked& asked) {
  const Agent& first = *asked.chain.back().agent;
  DelegationChain chain;
  chain.actors.push_back({ActorKind::kAgent, first.id.text(), first.epoch});
  int depth_left = std::min(grant.onward_depth, first.onward.depth);
  for (size_t i = asked.chain.size() - 1; i-- > 0;) {
    const ActingOne& one = asked.chain[i];
    const Agent* passing = asked.chain[i + 1].agent.get();
    const Actor next = one.agent != nullptr
                           ? Actor{ActorKind::kAgent, one.agent->id.text(), one.agent->epoch}
                           : Actor{ActorKind::kService, one.service->id.text(), one.service->epoch};
    const OnwardPolicy* own = one.agent == nullptr ? nullptr : &one.agent->onward;
    auto longer = extend(chain, next,
                         {.max_depth = services_.settings.max_chain_depth,
                          .onward = passing == nullptr ? nullptr : &passing->onward,
                          .depth_left = depth_left,
                          .reenter_after = one.agent == nullptr ? nullptr : &one.agent->reenter_after});
    if (!longer) return word_for(longer.reason());
    if (longer->depth() != chain.depth()) depth_left = depth_left_after(depth_left, own);
    chain = std::move(longer).value();
  }
  return {};
}

std::string_view AccessDecider::why_not(const Grant& grant, const AccessQuestion& question,
                                        const Asked& asked) {
  if (!question.grant.empty() && grant.id.text() != question.grant) return "other_consent";
  // Whom the person named is the one who acted first.
  const std::shared_ptr<const Agent> first = asked.chain.empty() ? nullptr : asked.chain.back().agent;
  if (!asked.chain.empty() && first == nullptr) return "other_consent";
  if (first == nullptr ? !grant.agent.empty() : grant.agent != first->id) return "other_consent";
  // What was passed on is in other clients' hands.
  if (asked.client != nullptr && asked.chain.size() < 2 && grant.client != asked.client->id)
    return "other_consent";
  if (const std::string_view dead = why_dead(transaction_, grant, now_); !dead.empty()) return dead;
  if (std::find(grant.resources.begin(), grant.resources.end(), asked.resource->id) == grant.resources.end())
    return "resource_not_consented";
  if (!asked.scopes.is_at_most(grant.scopes)) return "scope_not_consented";
  const auto client = transaction_.find_client(grant.client);
  if (!asked.scopes.is_at_most(client->scopes)) return "scope_above_client";
  if (first == nullptr) return {};
  const Subject person{SubjectKind::kUser, asked.user->id.text(), asked.user->epoch};
  if (const std::string_view refusal = why_not_allowed(*first, *client, person, asked.resource.get());
      !refusal.empty())
    return refusal;
  return why_not_passed_on(grant, asked);
}

AccessAnswer AccessDecider::decide(const AccessQuestion& question) {
  AccessAnswer answer;
  Asked asked;
  answer.reason = find_everyone(question, asked);
  if (!answer.reason.empty()) return answer;
  answer.reason = "no_consent";
  for (const Grant& grant : live_grants(asked.user->id.text())) {
    const std::string_view refusal = why_not(grant, question, asked);
    if (refusal.empty()) return {.allowed = true, .reason = "consent", .grant = grant};
    // Of several consents, none of which is enough, the one that came nearest says why.
    if (refusal != "other_consent") answer.reason = refusal;
  }
  return answer;
}

}  // namespace behalf::oauth
