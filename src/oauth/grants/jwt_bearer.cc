// RFC 7523 §2.1 in Microsoft's On-Behalf-Of shape: the middle tier presents the access token it received and
// asks for one for the API behind it. Routed by what the assertion is, not by what is asked (D-80); lands in
// the same lineage and the same rules as token exchange, with the middle tier as the outermost actor (D-82),
// or an agent that proves itself beside it (D-86).
#include <algorithm>

#include "oauth/actor_token.h"
#include "oauth/authority.h"
#include "oauth/grants/grant.h"
#include "oauth/grants/hop.h"
#include "oauth/own_token.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kDefaultSuffix = "/.default";
// Microsoft's libraries add these to every request. They ask for nothing that this answer has, so they are
// left out (RFC 6749 §3.3: the answer's `scope` says what was granted).
constexpr std::string_view kSignInScopes[] = {"openid", "profile", "email"};

Refused<OAuthError> bad_assertion(std::string_view reason) {
  return refuse(ErrorCode::kInvalidGrant, "the assertion is not acceptable", reason);
}

Refused<OAuthError> bad_actor(const ActorFault& fault) {
  return refuse(
      fault.kind == ActorFault::Kind::kRequest ? ErrorCode::kInvalidRequest : ErrorCode::kInvalidGrant,
      "the actor_token is not acceptable", fault.reason);
}

// The scopes, as `name`, `<resource>/name` or `<resource>/.default`, and the one resource they belong to.
Answer<Fine> read_microsoft_scope(Call& call, const Client& client, std::string_view text,
                                  HopRequest& asked) {
  const auto tokens = ScopeSet::parse(text);
  if (!tokens || tokens->empty())
    return refuse(ErrorCode::kInvalidScope, "scope is required", "scope_missing");
  const auto& registry = call.services.store.registry();
  ScopeSet plain;
  const auto aim = [&](std::shared_ptr<const Resource> resource) -> Answer<Fine> {
    if (resource == nullptr)
      return refuse(ErrorCode::kInvalidScope, "a scope names an unknown resource", "scope_resource_unknown");
    if (asked.target != nullptr && asked.target->id != resource->id) {
      return refuse(ErrorCode::kInvalidScope, "scopes of two resources cannot be asked for at once",
                    "several_targets");
    }
    asked.target = std::move(resource);
    return Fine{};
  };
  for (const std::string& token : tokens->tokens()) {
    if (token == "offline_access") {
      asked.offline = true;
      continue;
    }
    if (std::find(std::begin(kSignInScopes), std::end(kSignInScopes), token) != std::end(kSignInScopes))
      continue;
    if (token.ends_with(kDefaultSuffix)) {
      const std::string_view name = std::string_view(token).substr(0, token.size() - kDefaultSuffix.size());
      TRY(aim(registry.find_resource(name)));
      asked.all_scopes_of_target = true;
      continue;
    }
    const size_t slash = token.rfind('/');
    const auto named = slash == std::string::npos
                           ? nullptr
                           : registry.find_resource(std::string_view(token).substr(0, slash));
    if (named != nullptr && named->find_scope(std::string_view(token).substr(slash + 1)) != nullptr) {
      TRY(aim(named));
      plain.add(std::string_view(token).substr(slash + 1));
    } else {
      plain.add(token);
    }
  }
  if (asked.all_scopes_of_target && !plain.empty()) {  // D-85
    return refuse(ErrorCode::kInvalidScope, ".default cannot be mixed with single scopes", "default_mixed");
  }
  if (asked.all_scopes_of_target) return Fine{};
  if (plain.empty()) return refuse(ErrorCode::kInvalidScope, "scope names nothing to call", "scope_empty");
  if (asked.target == nullptr) {
    // The one resource that knows all of them.
    std::shared_ptr<const Resource> only;
    for (const auto& resource : registry.resources()) {
      if (!plain.is_at_most(resource->scope_set())) continue;
      if (resource->id == client.resource) continue;
      if (only != nullptr)
        return refuse(ErrorCode::kInvalidScope,
                      "several resources know these scopes; write <resource>/<scope>", "scope_ambiguous");
      only = resource;
    }
    TRY(aim(only));
  }
  asked.scope = plain;
  return Fine{};
}

Answer<Decision> prepare(Call& call, const TokenRequest& request) {
  const http::Form& form = request.form;
  if (!form.has("assertion"))
    return refuse(ErrorCode::kInvalidRequest, "assertion is required", "assertion_missing");
  const std::string_view use = form.get("requested_token_use");
  if (!use.empty() && use != "on_behalf_of") {  // D-84
    return refuse(ErrorCode::kInvalidRequest, "requested_token_use must be on_behalf_of",
                  "requested_token_use");
  }
  if (form.has("requested_token_type") && form.get("requested_token_type") != kAccessTokenTypeUrn) {  // D-77
    return refuse(ErrorCode::kInvalidRequest, "requested_token_type is not offered",
                  "requested_token_type_unsupported");
  }
  const auto node = recognise_own_token(call.services, form.get("assertion"), call.now);
  if (!node) return bad_assertion("assertion: " + std::string(node.reason()));
  // D-80: an access token is not a grant by itself.
  if (use.empty()) return bad_assertion("requested_token_use_missing");
  if (request.client.registration().resource.empty()) return bad_assertion("client_is_no_resource");
  HopRequest asked;
  asked.subject = *node;
  asked.must_be_audience = true;
  asked.target = TRY(read_target(call, form));
  TRY(read_microsoft_scope(call, request.client.registration(), form.get("scope"), asked));
  // A tier that runs agents of its own calls on for one of them (D-86): the agent proves itself, as
  // everywhere.
  const std::string_view actor_type = form.get("actor_token_type");
  std::optional<ActorProof> proof;
  if (form.has("actor_token")) {
    auto read = read_actor_token(call, form.get("actor_token"), actor_type);
    if (!read) return bad_actor(read.reason());
    proof = std::move(read).value();
  } else if (!actor_type.empty()) {
    return bad_actor({ActorFault::Kind::kRequest, "actor_token_type_without_token"});
  }
  return Decision([&call, &request, asked = std::move(asked),
                   proof = std::move(proof)](store::Transaction& transaction) -> Answer<Issuance> {
    const auto subject = transaction.find_node(asked.subject.node);
    if (subject != nullptr && subject->subject.kind != SubjectKind::kUser)
      return bad_assertion("assertion_without_user");
    HopRequest confirmed = asked;
    if (proof) {
      auto agent = confirm_actor(call, *proof, request.client, {}, transaction);
      if (!agent) return bad_actor(agent.reason());
      confirmed.actor = std::move(agent).value();
      confirmed.actor_instance = proof->instance();
    }
    Issuance issuance = TRY(hop(call, request, confirmed, ErrorCode::kInvalidGrant, transaction));
    issuance.microsoft_members = true;
    return issuance;
  });
}

}  // namespace

const GrantType kJwtBearer{"urn:ietf:params:oauth:grant-type:jwt-bearer", PublicClients::kRefused, prepare};

}  // namespace behalf::oauth
