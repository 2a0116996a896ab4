// Token exchange (RFC 8693): delegation only. The answer always names the actor (§4.1); there is no
// impersonation (§1.1).
//
// Who may act, how far and on what is judged from the lineage of the subject token, never from which
// parameters were sent: leaving out actor_token does not yield a cleaner token (D-66, D-72).
#include "oauth/authority.h"
#include "oauth/grants/grant.h"
#include "oauth/grants/hop.h"
#include "oauth/own_token.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kTypePrefix = "urn:ietf:params:oauth:token-type:";

// RFC 8693 §2.2.2: whatever is wrong with one of the two tokens is invalid_request (D-60).
Refused<OAuthError> bad_request(std::string_view description, std::string_view reason) {
  return refuse(ErrorCode::kInvalidRequest, description, reason);
}

Answer<Decision> prepare(Call& call, const TokenRequest& request) {
  const http::Form& form = request.form;
  const std::string_view subject_token = form.get("subject_token");
  const std::string_view subject_type = form.get("subject_token_type");
  const std::string_view actor_token = form.get("actor_token");
  const std::string_view actor_type = form.get("actor_token_type");
  const std::string_view requested_type = form.get("requested_token_type");
  if (subject_token.empty()) return bad_request("subject_token is required", "subject_token_missing");
  if (subject_type.empty())
    return bad_request("subject_token_type is required", "subject_token_type_missing");
  if (actor_token.empty() != actor_type.empty()) {  // §2.1
    return bad_request("actor_token and actor_token_type go together", "actor_token_type");
  }
  if (!requested_type.empty() && requested_type != kAccessTokenTypeUrn) {  // D-77
    return bad_request("requested_token_type is not offered", "requested_token_type_unsupported");
  }
  // D-62: our own access tokens; whatever they are called, the format being JWT.
  if (subject_type != kAccessTokenTypeUrn && subject_type != std::string(kTypePrefix) + "jwt") {
    return bad_request("subject_token_type is not offered", "subject_token_type_unsupported");
  }
  const auto subject = recognise_own_token(call.services, subject_token, call.now);
  if (!subject)
    return bad_request("the subject_token is not acceptable",
                       "subject_token: " + std::string(subject.reason()));
  HopRequest asked;
  if (subject->is_opaque && subject_type != kAccessTokenTypeUrn) {
    return bad_request("subject_token_type does not fit the subject_token",
                       "subject_token_type_contradicts_token");
  }
  asked.subject = *subject;
  // Elsewhere a parameter without a value was not sent (RFC 6749 §3.1). Here that would mean all of it, and
  // who wrote `scope=` did not ask for that.
  if (!form.has("scope") && !form.all("scope").empty())
    return refuse(ErrorCode::kInvalidScope, "scope is empty", "scope_malformed");
  asked.scope = TRY(read_scope(form));
  asked.target = TRY(read_target(call, form));
  std::optional<ActorProof> proof;
  if (!actor_token.empty()) {
    auto read = read_actor_token(call, actor_token, actor_type);
    if (!read) return bad_request("the actor_token is not acceptable", read.reason().reason);
    proof = std::move(read).value();
  }
  return Decision([&call, &request, asked = std::move(asked),
                   proof = std::move(proof)](store::Transaction& transaction) -> Answer<Issuance> {
    HopRequest confirmed = asked;
    if (proof) {
      auto agent = confirm_actor(call, *proof, request.client, {}, transaction);
      if (!agent) return bad_request("the actor_token is not acceptable", agent.reason().reason);
      confirmed.actor = std::move(agent).value();
      confirmed.actor_instance = proof->instance();
    }
    Issuance issuance = TRY(hop(call, request, confirmed, ErrorCode::kInvalidRequest, transaction));
    issuance.issued_token_type = kAccessTokenTypeUrn;
    return issuance;
  });
}

}  // namespace

const GrantType kTokenExchange{"urn:ietf:params:oauth:grant-type:token-exchange", PublicClients::kRefused,
                               prepare};

}  // namespace behalf::oauth
