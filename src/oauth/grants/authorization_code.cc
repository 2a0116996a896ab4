// Redeeming a code (RFC 6749 §4.1.3, RFC 7636 §4.6), with the agent's proof
// (draft-oauth-ai-agents-on-behalf-of-user-02 §5.5).
//
// The code is spent first, whatever else is wrong (D-11): nobody gets a second guess with it. Everything it
// was bound to must be presented again: client, redirect URI, verifier, agent (I1). Whoever presents a spent
// code with the right client and verifier shows that it leaked, and ends all that came from it (RFC 6749
// §4.1.2).
#include <algorithm>

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "oauth/authority.h"
#include "oauth/endings.h"
#include "oauth/grants/agent_proof.h"
#include "oauth/grants/grant.h"
#include "oauth/grants/issue_from.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

// All of these look alike to the caller: unknown, expired, used, someone else's.
Refused<OAuthError> bad_code(std::string_view reason) {
  return refuse(ErrorCode::kInvalidGrant, "the authorization code is not valid for this request", reason);
}

// RFC 7636 §4.1 and §4.6; S256 is the only method there is (D-17).
bool verifier_fits(std::string_view verifier, std::string_view challenge) {
  if (verifier.size() < 43 || verifier.size() > 128) return false;
  const bool allowed = std::all_of(verifier.begin(), verifier.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
  });
  return allowed && constant_time_equal(base64url(crypto::sha256(verifier)), challenge);
}

// What the code may become here: the one resource asked for, or the only one it covers (D-37, D-38).
Answer<std::shared_ptr<const Resource>> choose_resource(store::ReadTransaction& transaction, const Node& from,
                                                        const std::shared_ptr<const Resource>& asked) {
  ResourceId chosen;
  if (asked != nullptr) {
    if (std::find(from.resources.begin(), from.resources.end(), asked->id) == from.resources.end()) {
      return refuse(ErrorCode::kInvalidTarget, "this resource was not authorized", "target_not_granted");
    }
    chosen = asked->id;
  } else if (from.resources.size() == 1) {
    chosen = from.resources.front();
  } else {
    return refuse(ErrorCode::kInvalidTarget, "several resources were authorized; name one with resource",
                  "target_ambiguous");
  }
  auto resource = transaction.find_resource(chosen);
  if (resource == nullptr) return refuse(ErrorCode::kInvalidTarget, "the resource is gone", "target_unknown");
  return resource;
}

}  // namespace

Answer<Issuance> issue_from(Call& call, const TokenRequest& request, const Node& from,
                            const std::shared_ptr<const Resource>& asked_resource,
                            const std::optional<ScopeSet>& asked_scope, store::Transaction& transaction) {
  const Client& client = request.client.registration();
  Issuance issuance;
  issuance.resource = TRY(choose_resource(transaction, from, asked_resource));
  // D-23: what policies said at consent, or when it was passed on, may have changed since.
  const Standing standing = what_stands(transaction, from, issuance.resource.get());
  if (!standing.refused.empty()) {
    return refuse(ErrorCode::kInvalidGrant, "actor_inactive: the agent may no longer act here",
                  standing.refused);
  }
  ScopeSet granted = TRY(narrow(transaction, asked_scope, from.scope,
                                {.client = &client,
                                 .chain = &from.chain,
                                 .subject = &from.subject,
                                 .resource = issuance.resource.get()}));
  if (!granted.is_at_most(standing.scope)) {  // taken from those it was passed on by
    if (asked_scope)
      return refuse(ErrorCode::kInvalidScope, describe(ScopeRefusal::kCeiling), "scope_ceiling");
    granted.keep_only(standing.scope);
    if (granted.empty())
      return refuse(ErrorCode::kInvalidScope, describe(ScopeRefusal::kNothing), "scope_empty");
  }
  Node node = child_of(from, request.access_token_id, NodeKind::kAccessToken, call.now);
  node.scope = granted;
  node.resource = issuance.resource->id;
  node.may_act = client.may_act;
  const auto grant = transaction.find_grant(from.grant);
  if (!grant) return bad_code("grant_unknown");
  const Seconds lifetime = limit_passed_on(
      transaction, node.subject, node.chain,
      access_token_lifetime(transaction, call.settings(), client, node.chain, issuance.resource.get()));
  // A code is short-lived by itself; a refresh token's end is the end of what comes of it (I3).
  const UnixTime last =
      from.kind == NodeKind::kRefreshToken ? std::min(grant->expires_at, from.expires_at) : grant->expires_at;
  const auto end = usable_end(call.now, earliest_end(call.now, lifetime, {last}));
  if (!end) return bad_code("grant_expired");
  node.expires_at = *end;
  issuance.access_token = std::move(node);
  transaction.touch_grant(*grant, call.now);
  return issuance;
}

namespace {

// D-31: only if the person allowed it, the client has the grant type, and the agent's policy (or the
// client's) says how long.
std::optional<Node> refresh_token_for(Call& call, const TokenRequest& request, const Node& code,
                                      store::Transaction& transaction) {
  const Client& client = request.client.registration();
  if (!code.offline) return std::nullopt;
  const auto lifetime = refresh_token_lifetime(transaction, client, code.chain);
  const auto grant = transaction.find_grant(code.grant);
  if (!lifetime || !grant) return std::nullopt;
  Node node = child_of(code, request.refresh_token_id, NodeKind::kRefreshToken, call.now);
  node.secret_hash = call.services.keys.lookup_hash(request.refresh_secret);
  node.resources = code.resources;
  node.offline = true;
  node.expires_at = earliest_end(call.now, *lifetime, {grant->expires_at});
  return node;
}

Answer<Issuance> redeem(Call& call, const TokenRequest& request, const Handle& code,
                        const PresentedProof& presented, const std::shared_ptr<const Resource>& resource,
                        const std::optional<ScopeSet>& scope, store::Transaction& transaction) {
  const std::string_view verifier = request.form.get("code_verifier");
  const auto spent = transaction.spend_code(code.id, call.services.keys.lookup_hash(code.secret), call.now);
  if (spent.outcome == store::SpentCode::Outcome::kUnknown) return bad_code("code_unknown");
  const Node& node = *spent.node;
  call.audit.user = node.subject.id;
  call.audit.grant = node.grant.text();
  call.audit.parent = node.id.text();
  call.audit.chain = node.chain;
  if (const Actor* actor = node.chain.outermost()) call.audit.agent = actor->id;

  const bool is_same_client = node.client == request.client.id();
  const bool verifier_is_right = verifier_fits(verifier, node.code->code_challenge);
  if (spent.outcome == store::SpentCode::Outcome::kAlreadySpent) {
    if (is_same_client && verifier_is_right) end_lineage(call, transaction, node.id, "code_reused");
    return bad_code("code_reused");
  }
  if (!is_same_client) return bad_code("code_of_other_client");
  const std::string_view dead = why_dead(transaction, node, call.now);
  if (!dead.empty()) return bad_code("code_" + std::string(dead));
  if (!verifier_is_right) return bad_code(verifier.empty() ? "verifier_missing" : "verifier_wrong");
  const std::string_view redirect_uri = request.form.get("redirect_uri");
  if (redirect_uri.empty() && !node.chain.empty()) {  // D-21
    return refuse(ErrorCode::kInvalidRequest,
                  "redirect_uri is required for an authorization that names an agent",
                  "redirect_uri_missing");
  }
  if (!redirect_uri.empty() && redirect_uri != node.code->redirect_uri)
    return bad_code("redirect_uri_differs");

  const AgentVerdict agent =
      check_agent_proof(call, request, presented, node.chain, request.form.get("code"), transaction);
  if (agent.refusal != AgentRefusal::kNone) return Refused{agent.error};

  Issuance issuance = TRY(issue_from(call, request, node, resource, scope, transaction));
  name_instance(issuance, agent);
  if (auto refresh_token = refresh_token_for(call, request, node, transaction)) {
    issuance.refresh_token =
        write_handle(kRefreshTokenPrefix, {request.refresh_token_id, request.refresh_secret});
    issuance.new_refresh_token = std::move(refresh_token);
  }
  return issuance;
}

Answer<Decision> prepare(Call& call, const TokenRequest& request) {
  if (!request.form.has("code"))
    return refuse(ErrorCode::kInvalidRequest, "code is required", "code_missing");
  const auto code = parse_handle(kCodePrefix, request.form.get("code"));
  if (!code) return bad_code("code_malformed");
  PresentedProof presented = read_agent_proof(call, request);
  // Wrong parameters are judged inside, after the code is spent.
  auto resource = read_target(call, request.form);
  auto scope = read_scope(request.form);
  return Decision([&call, &request, code = *code, presented = std::move(presented),
                   resource = std::move(resource),
                   scope = std::move(scope)](store::Transaction& transaction) -> Answer<Issuance> {
    const auto target = resource ? resource.value() : nullptr;
    const auto asked = scope ? scope.value() : std::nullopt;
    auto issuance = redeem(call, request, code, presented, target, asked, transaction);
    if (!issuance) return issuance;
    if (!resource) return Refused{resource.reason()};
    if (!scope) return Refused{scope.reason()};
    return issuance;
  });
}

}  // namespace

const GrantType kAuthorizationCode{"authorization_code", PublicClients::kAllowed, prepare};

}  // namespace behalf::oauth
