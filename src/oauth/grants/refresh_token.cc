// Refreshing (RFC 6749 §6, RFC 9700 §4.14). The agent proves itself again every time (D-31): a refresh can
// never yield a token that lost its actor.
//
//   live ──first use──> rotated ──same client, within the window──> the same successor again (an honest
//   retry)
//                          └──────anything later─────────────────> the whole family ends
//
// What is asked for is judged before the token is spent, so that an honest mistake costs nothing.
#include "base/secret.h"
#include "oauth/authority.h"
#include "oauth/endings.h"
#include "oauth/grants/agent_proof.h"
#include "oauth/grants/grant.h"
#include "oauth/grants/issue_from.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

Refused<OAuthError> bad_token(std::string_view reason) {
  return refuse(ErrorCode::kInvalidGrant, "the refresh token is not valid for this request", reason);
}

Answer<Issuance> refresh(Call& call, const TokenRequest& request, const Handle& handle,
                         const PresentedProof& presented, const std::shared_ptr<const Resource>& resource,
                         const std::optional<ScopeSet>& scope, store::Transaction& transaction) {
  const std::string hash = call.services.keys.lookup_hash(handle.secret);
  const auto node = transaction.find_node(handle.id);
  if (node == nullptr || node->kind != NodeKind::kRefreshToken ||
      !constant_time_equal(node->secret_hash, hash)) {
    return bad_token("refresh_token_unknown");
  }
  call.audit.user = node->subject.id;
  call.audit.grant = node->grant.text();
  call.audit.parent = node->id.text();
  call.audit.chain = node->chain;
  if (const Actor* actor = node->chain.outermost()) call.audit.agent = actor->id;

  // Someone else's client: refused, and the owner keeps the token (I12).
  if (node->client != request.client.id()) return bad_token("refresh_token_of_other_client");
  const std::string_view dead = why_dead(transaction, *node, call.now);
  if (!dead.empty()) return bad_token("refresh_token_" + std::string(dead));

  const bool is_retry = node->spent_at && call.now < *node->spent_at + call.settings().refresh_retry_window;
  if (node->spent_at && !is_retry) {
    end_family(call, transaction, *node, "refresh_token_reused");
    return bad_token("refresh_token_reused");
  }
  const AgentVerdict agent = check_agent_proof(call, request, presented, node->chain, {}, transaction);
  if (agent.refusal == AgentRefusal::kOtherActor && !node->chain.empty()) {
    end_family(call, transaction, *node, "actor_swapped");  // D-31
  }
  if (agent.refusal != AgentRefusal::kNone) return Refused{agent.error};
  // D-31: the policy that allowed a refresh token must allow it still.
  if (!refresh_token_lifetime(transaction, request.client.registration(), node->chain))
    return bad_token("refresh_not_allowed_now");

  Issuance issuance = TRY(issue_from(call, request, *node, resource, scope, transaction));
  name_instance(issuance, agent);
  // Passed on from another client's token: what the target demands of the person's sign-in is asked again.
  if (!node->via.empty()) {
    const std::string_view acr = missing_acr(*issuance.resource, issuance.access_token.scope, node->sign_in);
    if (!acr.empty()) return refuse_until_step_up(StepUpDialect::kMicrosoft, acr);
  }

  if (is_retry) {
    // The successor that the lost answer held; if it was used already, this is no retry of ours.
    const auto successor = transaction.find_node(node->successor);
    if (successor == nullptr || successor->spent_at || successor->ended_at) {
      end_family(call, transaction, *node, "refresh_token_reused");
      return bad_token("refresh_token_reused");
    }
    issuance.refresh_token = write_handle(
        kRefreshTokenPrefix,
        {node->successor, call.services.keys.successor_secret(handle.secret, node->successor.text())});
    call.audit.details.set("retry", true);
    return issuance;
  }
  const std::string secret =
      call.services.keys.successor_secret(handle.secret, request.refresh_token_id.text());
  const auto rotated = transaction.rotate_refresh_token(handle.id, hash, request.refresh_token_id, call.now);
  if (rotated.outcome != store::RotatedRefresh::Outcome::kRotated)
    return bad_token("refresh_token_lost_race");
  Node successor = child_of(*node, request.refresh_token_id, NodeKind::kRefreshToken, call.now);
  successor.secret_hash = call.services.keys.lookup_hash(secret);
  successor.resources = node->resources;
  successor.offline = true;  // and `expires_at` as the first one had it: rotation never extends a family
  issuance.new_refresh_token = std::move(successor);
  issuance.refresh_token = write_handle(kRefreshTokenPrefix, {request.refresh_token_id, secret});
  return issuance;
}

Answer<Decision> prepare(Call& call, const TokenRequest& request) {
  if (!request.form.has("refresh_token")) {
    return refuse(ErrorCode::kInvalidRequest, "refresh_token is required", "refresh_token_missing");
  }
  const auto handle = parse_handle(kRefreshTokenPrefix, request.form.get("refresh_token"));
  if (!handle) return bad_token("refresh_token_malformed");
  auto resource = TRY(read_target(call, request.form));
  auto scope = TRY(read_scope(request.form));
  PresentedProof presented = read_agent_proof(call, request);
  return Decision([&call, &request, handle = *handle, resource = std::move(resource),
                   scope = std::move(scope),
                   presented = std::move(presented)](store::Transaction& transaction) {
    return refresh(call, request, handle, presented, resource, scope, transaction);
  });
}

}  // namespace

const GrantType kRefreshToken{"refresh_token", PublicClients::kAllowed, prepare};

}  // namespace behalf::oauth
