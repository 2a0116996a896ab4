#include "oauth/actor_token.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "oauth/issuance.h"
#include "oauth/liveness.h"
#include "oauth/own_token.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kJwtType = "urn:ietf:params:oauth:token-type:jwt";
constexpr std::string_view kAccessTokenType = "urn:ietf:params:oauth:token-type:access_token";
// "client-authentication+jwt": the same JWT may prove the client and the agent it is (D-13).
constexpr std::string_view kAssertionTypes[] = {"", "jwt", "client-authentication+jwt"};

Refused<ActorFault> bad_request(std::string_view reason) {
  return Refused{ActorFault{ActorFault::Kind::kRequest, std::string(reason)}};
}
Refused<ActorFault> bad_token(std::string_view reason) {
  return Refused{ActorFault{ActorFault::Kind::kToken, std::string(reason)}};
}

// OIDC Core §3.3.2.11: base64url of the left half of SHA-256 of the code.
std::string code_hash(std::string_view code) {
  const Digest digest = crypto::sha256(code);
  return base64url(std::span(digest).first(digest.size() / 2));
}

}  // namespace

Result<ActorProof, ActorFault> read_actor_token(Call& call, std::string_view actor_token,
                                                std::string_view actor_token_type) {
  if (!actor_token_type.empty() && actor_token_type != kJwtType && actor_token_type != kAccessTokenType) {
    return bad_request("actor_token_type_unsupported");
  }
  // One of ours, known by its hash, needs no reading. An actor token is never opaque.
  if ((actor_token_type.empty() || actor_token_type == kAccessTokenType) &&
      !parse_handle(kAccessTokenPrefix, actor_token)) {
    if (const auto node = call.services.token_cache.find(actor_token))
      return ActorProof(IssuedActorToken{*node});
  }
  const auto jwt = crypto::EncodedJwt::parse(actor_token);
  if (!jwt) return bad_token("actor_token_malformed");
  const bool looks_issued = jwt->type() == "at+jwt";
  // D-06: the type may be left out, but may not contradict the token.
  if (!actor_token_type.empty() && (actor_token_type == kAccessTokenType) != looks_issued) {
    return bad_request("actor_token_type_contradicts_token");
  }

  if (looks_issued) {
    const auto node = recognise_own_token(call.services, actor_token, call.now);
    if (!node) return bad_token("actor_token_not_ours");
    return ActorProof(IssuedActorToken{node->node});
  }
  // The pair (iss, sub) names the entry: a self-signed assertion has the agent as both (D-07).
  const std::string* issuer = jwt->unproved_claims().find_string("iss");
  const std::string* subject = jwt->unproved_claims().find_string("sub");
  if (issuer == nullptr || subject == nullptr || *issuer != *subject) return bad_token("actor_token_issuer");
  if (jwt->unproved_claims().find("act") != nullptr) return bad_token("actor_token_carries_act");
  const auto agent = call.services.store.registry().find_agent(*subject);
  if (agent == nullptr) return bad_token("actor_token_unknown_agent");
  const auto keys = call.services.verifying_keys.get(agent->id.text(), agent->version, agent->jwks);
  // D-05: our issuer, as the only audience; the token endpoint's URL is accepted for RFC 7523 libraries.
  const std::string audiences[] = {call.settings().issuer, call.settings().issuer + "/token"};
  const auto verified = crypto::verify(*jwt,
                                       {.types = kAssertionTypes,
                                        .issuer = agent->id.text(),
                                        .subject = agent->id.text(),
                                        .audiences = audiences,
                                        .audience_rule = crypto::AudienceRule::kSole,
                                        .leeway = call.settings().clock_leeway,
                                        .longest_life = Seconds{300},
                                        .require_jti = true},
                                       *keys, call.now);
  if (!verified) return bad_token("actor_token: " + std::string(describe(verified.reason())));
  // D-08: bound to a key by proof of possession, and no such proof is understood here: not a bearer token.
  if (verified->claims().find("cnf") != nullptr) return bad_token("actor_token_proof_missing");
  ActorAssertion assertion{.agent = agent->id.text(),
                           .agent_version = agent->version,
                           .jti = std::string(verified->jti()),
                           .expires_at = verified->expires_at(),
                           .client_id = {},
                           .c_hash = {},
                           .instance = {}};
  for (const auto& [name, target] :
       {std::pair{"client_id", &assertion.client_id}, std::pair{"c_hash", &assertion.c_hash},
        std::pair{"agent_instance", &assertion.instance}}) {
    const json::Value* claim = verified->claims().find(name);
    if (claim == nullptr) continue;
    if (claim->string() == nullptr || claim->string()->empty()) return bad_token("actor_token_claim_type");
    *target = *claim->string();
  }
  if (!assertion.instance.empty() && !is_registry_id(assertion.instance))
    return bad_token("actor_token_claim_type");
  return ActorProof(std::move(assertion));
}

std::string_view ActorProof::instance() const {
  const auto* assertion = std::get_if<ActorAssertion>(&proof_);
  return assertion == nullptr ? std::string_view{} : assertion->instance;
}

Result<std::shared_ptr<const Agent>, ActorFault> confirm_actor(Call& call, const ActorProof& proof,
                                                               const AuthenticatedClient& client,
                                                               std::string_view code,
                                                               store::Transaction& transaction) {
  if (const auto* issued = std::get_if<IssuedActorToken>(&proof.proof_)) {
    const auto node = transaction.find_node(issued->node);
    if (node == nullptr || node->kind != NodeKind::kAccessToken) return bad_token("actor_token_unknown");
    if (!node->is_actor_token) return bad_token("actor_token_audience");
    if (node->subject.kind != SubjectKind::kAgent || !node->chain.empty())
      return bad_token("actor_token_subject");
    const std::string_view dead = why_dead(transaction, *node, call.now);
    if (!dead.empty()) return bad_token("actor_token_" + std::string(dead));
    auto agent = transaction.find_agent(AgentId(node->subject.id));
    // D-08: without a key it is a bearer token; only confidential clients, and only where the agent's policy
    // says so.
    if (client.registration().is_public()) return bad_token("actor_token_bearer_from_public_client");
    if (!agent->bearer_actor_tokens) return bad_token("actor_token_bearer_not_allowed");
    call.audit.agent = agent->id.text();
    return agent;
  }
  const auto& assertion = std::get<ActorAssertion>(proof.proof_);
  auto agent = transaction.find_agent(AgentId(assertion.agent));
  if (agent == nullptr || !agent->is_active()) return bad_token("actor_inactive");
  if (agent->version != assertion.agent_version) Call::restart();
  if (!assertion.client_id.empty() && assertion.client_id != client.id().text()) {
    return bad_token("actor_token_for_other_client");
  }
  if (!assertion.c_hash.empty() && (code.empty() || assertion.c_hash != code_hash(code))) {
    return bad_token("actor_token_for_other_code");
  }
  // D-09: single use until it expires, whoever presents it for whatever.
  if (!transaction.remember_jti(assertion.agent, assertion.jti,
                                assertion.expires_at + call.settings().clock_leeway)) {
    return bad_token("actor_token_replayed");
  }
  call.audit.agent = agent->id.text();
  return agent;
}

}  // namespace behalf::oauth
