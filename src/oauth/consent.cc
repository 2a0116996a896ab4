#include "oauth/consent.h"

#include <algorithm>

#include "base/uri.h"
#include "oauth/authority.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

// "agent a2" by its name, a service by its own; ids that are registered nowhere are left out.
std::vector<std::string> names_of(store::ReadTransaction& transaction, const AllowList& list) {
  std::vector<std::string> names;
  for (const std::string& id : list.names) {
    if (const auto agent = transaction.find_agent(AgentId(id)))
      names.push_back(agent->name);
    else if (const auto client = transaction.find_client(ClientId(id)))
      names.push_back(client->name);
  }
  return names;
}

}  // namespace

bool meets_acr(const AuthorizationRequest& request, const SignIn& sign_in) {
  const auto is_among = [&](std::string_view list) {
    if (list.empty()) return true;
    while (!list.empty()) {
      const size_t space = list.find(' ');
      if (list.substr(0, space) == sign_in.acr && !sign_in.acr.empty()) return true;
      list = space == std::string_view::npos ? std::string_view{} : list.substr(space + 1);
    }
    return false;
  };
  return is_among(request.acr_values) && is_among(request.essential_acrs);
}

std::string Offer::fingerprint() const {
  std::string text =
      request.id.text() + "|" + std::to_string(user->version) + "|" + std::to_string(client->version);
  if (agent != nullptr) text += "|" + std::to_string(agent->version);
  for (const auto& resource : resources)
    text += "|" + resource->id.text() + "=" + std::to_string(resource->version);
  return text + "|" + scopes.text();
}

Answer<Offer> make_offer(store::ReadTransaction& transaction, const Settings& settings,
                         const AuthorizationRequest& request, const Session& session, UnixTime now) {
  // The person just signed in as well as they can here, or would have been asked to (RFC 9470 §5).
  if (!meets_acr(request, session.sign_in)) {
    return refuse(ErrorCode::kUnmetAuthenticationRequirements,
                  "the person cannot sign in here in the way that was asked for", "acr_unmet");
  }
  const UserId& user = session.user;
  Offer offer;
  offer.request = request;
  offer.lifetime = settings.grant_lifetime;
  offer.user = transaction.find_user(user);
  if (offer.user == nullptr || !offer.user->is_active()) {
    return refuse(ErrorCode::kAccessDenied, "the person may not authorize this", "user_inactive");
  }
  offer.client = transaction.find_client(request.client);
  if (offer.client == nullptr || !offer.client->is_active() || offer.client->epoch != request.client_epoch) {
    return refuse(ErrorCode::kAccessDenied, "the client is no longer active", "client_inactive");
  }
  offer.scopes = request.scopes.intersect(offer.client->scopes);
  const Subject subject{SubjectKind::kUser, offer.user->id.text(), offer.user->epoch};
  if (!request.agent.empty()) {  // D-23: asked again here, after login, with the person known
    offer.agent = transaction.find_agent(request.agent);
    const std::string_view refusal = offer.agent == nullptr
                                         ? "agent_inactive"
                                         : why_not_allowed(*offer.agent, *offer.client, subject, nullptr);
    if (!refusal.empty()) {
      return Refused{actor_error(settings.error_dialect, ActorError::kNotForPerson, refusal)};
    }
    offer.scopes = offer.scopes.intersect(offer.agent->scopes);
    offer.onward_depth = offer.agent->onward.depth;
    offer.onward_names = names_of(transaction, offer.agent->onward.to);
    if (const Intent* intent = offer.agent->find_intent(request.intent)) offer.purpose = intent->text;
  } else {
    offer.onward_depth = static_cast<int>(settings.max_chain_depth);
  }
  DelegationChain chain;  // as the code will have it
  if (offer.agent != nullptr)
    chain.actors.push_back({ActorKind::kAgent, offer.agent->id.text(), offer.agent->epoch});
  offer.offline = request.offline && refresh_token_lifetime(transaction, *offer.client, chain);
  if (offer.user->entitlements) offer.scopes = offer.scopes.intersect(*offer.user->entitlements);
  ScopeSet known;
  for (const ResourceId& id : request.resources) {
    auto resource = transaction.find_resource(id);
    if (resource == nullptr)
      return refuse(ErrorCode::kInvalidTarget, "the resource is gone", "target_unknown");
    known = known.unite(resource->scope_set());
    offer.resources.push_back(std::move(resource));
  }
  offer.scopes = offer.scopes.intersect(known);
  if (offer.scopes.empty()) {
    return refuse(ErrorCode::kAccessDenied, "nothing of what was asked for can be given", "scope_empty");
  }
  for (const Grant& grant : transaction.list_grants(
           {.user = user.text(), .client = {}, .agent = {}, .live_at = now, .limit = 1000})) {
    if (grant.client != request.client || grant.agent != request.agent) continue;
    if (why_dead(transaction, grant, now).empty())
      offer.already_given = offer.already_given.unite(grant.scopes);
  }
  return offer;
}

std::optional<Grant> covering_grant(store::ReadTransaction& transaction, const Offer& offer, UnixTime now) {
  const AuthorizationRequest& request = offer.request;
  // What was asked for and may not be given must be seen by the person, not settled silently.
  if (offer.scopes != request.scopes) return std::nullopt;
  // Anybody on the person's machine may listen at a loopback address or take a private-use scheme, and a
  // public client proves nothing: who it is, the person judges each time (RFC 8252 §8.6).
  if (offer.client->is_public() && !request.redirect_uri.starts_with("https://")) return std::nullopt;
  const std::string host = display_host(request.redirect_uri);
  for (Grant& grant : transaction.list_grants(
           {.user = offer.user->id.text(), .client = {}, .agent = {}, .live_at = now, .limit = 1000})) {
    if (grant.client != request.client || grant.agent != request.agent || grant.redirect_host != host)
      continue;
    if (!request.scopes.is_at_most(grant.scopes)) continue;
    if (offer.offline && !grant.offline) continue;
    if (!offer.purpose.empty() && grant.purpose != offer.purpose) continue;
    const bool covers_resources =
        std::all_of(request.resources.begin(), request.resources.end(), [&](const ResourceId& resource) {
          return std::find(grant.resources.begin(), grant.resources.end(), resource) != grant.resources.end();
        });
    if (!covers_resources) continue;
    if (offer.agent != nullptr && (grant.agent_owner != offer.agent->owner ||
                                   grant.capability_version != offer.agent->capability_version)) {
      continue;
    }
    if (!why_dead(transaction, grant, now).empty()) continue;
    return std::move(grant);
  }
  return std::nullopt;
}

Grant make_grant(const Offer& offer, const Decided& decided, GrantId id, UnixTime now) {
  Grant grant;
  grant.id = std::move(id);
  grant.user = offer.user->id;
  grant.user_epoch = offer.user->epoch;
  grant.client = offer.client->id;
  grant.client_epoch = offer.client->epoch;
  if (offer.agent != nullptr) {
    grant.agent = offer.agent->id;
    grant.agent_epoch = offer.agent->epoch;
    grant.agent_owner = offer.agent->owner;
    grant.capability_version = offer.agent->capability_version;
  }
  grant.scopes = decided.scopes.intersect(offer.scopes);
  for (const auto& resource : offer.resources) grant.resources.push_back(resource->id);
  grant.redirect_host = display_host(offer.request.redirect_uri);
  grant.purpose = offer.purpose;
  grant.offline = offer.offline;  // what the page said, also where a later hop could have one
  grant.onward_depth = decided.onward ? offer.onward_depth : 0;
  json::Value::Array shown;
  for (const auto& resource : offer.resources) {
    for (const ScopeDefinition& scope : resource->scopes) {
      if (!grant.scopes.contains(scope.name)) continue;
      json::Value item;
      item.set("resource", resource->id.text());
      item.set("scope", scope.name);
      item.set("title", scope.title);
      if (!scope.description.empty()) item.set("description", scope.description);
      shown.push_back(std::move(item));
    }
  }
  grant.shown = std::move(shown);
  grant.created_at = now;
  grant.expires_at = now + offer.lifetime;
  return grant;
}

void issue_code(Call& call, store::Transaction& transaction, const Offer& offer, const Grant& grant,
                const ScopeSet& scopes, const SignIn& sign_in, const Handle& code) {
  Node node;
  node.id = code.id;
  node.kind = NodeKind::kCode;
  node.grant = grant.id;
  node.root = node.id;
  node.secret_hash = call.services.keys.lookup_hash(code.secret);
  node.subject = {SubjectKind::kUser, offer.user->id.text(), offer.user->epoch};
  node.client = offer.client->id;
  node.client_epoch = offer.client->epoch;
  node.depth_left = grant.onward_depth;
  if (offer.agent != nullptr) {
    node.chain.actors.push_back({ActorKind::kAgent, offer.agent->id.text(), offer.agent->epoch});
    node.depth_left = std::min(node.depth_left, offer.agent->onward.depth);
  }
  node.scope = scopes;
  node.resources = offer.request.resources;
  node.offline = offer.offline && grant.offline;
  node.sign_in = sign_in;
  node.code =
      CodeBinding{.redirect_uri = offer.request.redirect_uri, .code_challenge = offer.request.code_challenge};
  node.issued_at = call.now;
  node.expires_at = earliest_end(call.now, call.settings().code_lifetime, {grant.expires_at});
  transaction.insert_node(node);
  call.audit.user = offer.user->id.text();
  call.audit.client = offer.client->id.text();
  if (offer.agent != nullptr) call.audit.agent = offer.agent->id.text();
  call.audit.chain = node.chain;
  call.audit.grant = grant.id.text();
  call.audit.node = node.id.text();
  call.audit.scope = scopes.text();
  call.audit.details.set("redirect_host", grant.redirect_host);
  call.allow();
}

}  // namespace behalf::oauth
