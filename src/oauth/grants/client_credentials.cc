// Software for itself (RFC 6749 §4.4): an agent's or client's own access token, and, addressed to this
// server, the actor token with which an agent proves itself (D-04 a) or, with a scope, a token for this
// server's own APIs. No person, no `act` (RFC 9068 §2.2: `sub` is the software).
#include "oauth/authority.h"
#include "oauth/grants/grant.h"

namespace behalf::oauth {
namespace {

// Asked with `resource` (or `audience`) = our own issuer.
bool is_for_this_server(const Call& call, const http::Form& form) {
  for (const std::string_view name : {"resource", "audience"}) {
    for (const std::string_view value : form.all(name)) {
      if (value == call.settings().issuer) return true;
    }
  }
  return false;
}

// The resource that all these scopes belong to, if there is exactly one.
Answer<std::shared_ptr<const Resource>> resource_of_scopes(const Call& call,
                                                           const std::optional<ScopeSet>& scope) {
  std::shared_ptr<const Resource> only;
  for (const auto& resource : call.services.store.registry().resources()) {
    if (!scope || !scope->is_at_most(resource->scope_set())) continue;
    if (only != nullptr)
      return refuse(ErrorCode::kInvalidTarget, "several resources know these scopes; name one with resource",
                    "target_ambiguous");
    only = resource;
  }
  if (only == nullptr)
    return refuse(ErrorCode::kInvalidTarget, "name the target with resource", "target_missing");
  return only;
}

Answer<Decision> prepare(Call& call, const TokenRequest& request) {
  const http::Form& form = request.form;
  const bool for_this_server = is_for_this_server(call, form);
  const std::string child(form.get("agent"));  // D-86: a parent asks for one of its own agents
  std::optional<ScopeSet> scope = TRY(read_scope(form));
  const bool actor_token = for_this_server && !scope;
  std::shared_ptr<const Resource> target;
  if (for_this_server) {
    if (form.all("resource").size() + form.all("audience").size() > 1) {
      return refuse(ErrorCode::kInvalidTarget, "one token has one audience; ask again for the next",
                    "several_targets");
    }
  } else {
    target = TRY(read_target(call, form));
    if (target == nullptr) target = TRY(resource_of_scopes(call, scope));
  }
  if (!actor_token && !child.empty()) {
    return refuse(ErrorCode::kInvalidRequest, "agent is for actor tokens only", "agent_parameter");
  }
  return Decision([&call, &request, for_this_server, actor_token, child, scope = std::move(scope),
                   target = std::move(target)](store::Transaction& transaction) -> Answer<Issuance> {
    const Client& client = request.client.registration();
    std::shared_ptr<const Agent> agent;
    if (!child.empty()) {
      agent = transaction.find_agent(AgentId(child));
      if (agent == nullptr || agent->parent != client.id || !agent->is_active()) {
        return refuse(ErrorCode::kUnauthorizedClient, "this client may not ask for that agent",
                      "not_the_parent");
      }
    } else if (!client.agent.empty()) {
      agent = transaction.find_agent(client.agent);
      if (agent == nullptr || !agent->is_active()) {
        return refuse(ErrorCode::kUnauthorizedClient, "the agent of this client is not active",
                      "agent_inactive");
      }
    }
    if (actor_token && agent == nullptr) {
      return refuse(ErrorCode::kUnauthorizedClient, "this client is no agent", "client_is_no_agent");
    }
    Issuance issuance;
    Node& node = issuance.access_token;
    node.id = request.access_token_id;
    node.kind = NodeKind::kAccessToken;
    node.root = node.id;
    node.client = client.id;
    node.client_epoch = client.epoch;
    node.issued_at = call.now;
    if (agent != nullptr) {
      node.subject = {SubjectKind::kAgent, agent->id.text(), agent->epoch};
      node.depth_left = agent->onward.depth;
      call.audit.agent = agent->id.text();
    } else {
      node.subject = {SubjectKind::kClient, client.id.text(), client.epoch};
      node.depth_left = static_cast<int>(call.settings().max_chain_depth);
    }
    Seconds lifetime = access_token_lifetime(transaction, call.settings(), client, node.chain, target.get());
    if (agent != nullptr) lifetime = std::min(lifetime, agent->access_token_lifetime);
    if (actor_token) {
      node.is_actor_token = true;
      lifetime = std::min(lifetime, call.settings().actor_token_lifetime);
    } else if (for_this_server) {
      // Never beside a resource's scopes: what is asked for must all be of this server.
      const ScopeSet own = server_scope_ceiling(transaction, client, node.subject);
      const auto granted = narrow_scope(scope, server_scopes(), {&own});
      if (!granted) {
        return refuse(
            ErrorCode::kInvalidScope, describe(granted.reason()),
            granted.reason() == ScopeRefusal::kWidening ? "scope_not_of_this_server" : "scope_ceiling");
      }
      node.scope = *granted;
      node.resource = ResourceId(call.settings().issuer);
    } else {
      issuance.resource = transaction.find_resource(target->id);
      if (issuance.resource == nullptr)
        return refuse(ErrorCode::kInvalidTarget, "the resource is gone", "target_unknown");
      if (agent != nullptr && !agent->resources.allows(target->id.text())) {
        return refuse(ErrorCode::kInvalidTarget, "the agent may not reach this resource",
                      "agent_not_for_this_resource");
      }
      const ScopeSet own = agent == nullptr ? client.scopes : client.scopes.intersect(agent->scopes);
      node.scope = TRY(narrow(transaction, scope, own,
                              {.client = &client,
                               .chain = &node.chain,
                               .subject = &node.subject,
                               .resource = issuance.resource.get()}));
      node.resource = issuance.resource->id;
    }
    const auto end = usable_end(call.now, call.now + lifetime);
    if (!end) return refuse(ErrorCode::kInvalidRequest, "the lifetime allowed here is too short", "lifetime");
    node.expires_at = *end;
    return issuance;
  });
}

}  // namespace

const GrantType kClientCredentials{"client_credentials", PublicClients::kRefused, prepare};

}  // namespace behalf::oauth
