#include "oauth/grants/agent_proof.h"

namespace behalf::oauth {
namespace {

AgentVerdict verdict(AgentRefusal refusal, ErrorCode code, std::string_view description,
                     std::string_view reason) {
  return {refusal, OAuthError{code, std::string(description), std::string(reason), {}}, {}};
}

}  // namespace

PresentedProof read_agent_proof(Call& call, const TokenRequest& request) {
  PresentedProof presented;
  const std::string_view token = request.form.get("actor_token");
  const std::string_view type = request.form.get("actor_token_type");
  presented.sent = !token.empty();
  if (request.mixes_drafts) {
    presented.fault = ActorFault{ActorFault::Kind::kRequest, "draft00_names_mixed"};
    return presented;
  }
  if (token.empty()) {
    if (!type.empty())
      presented.fault = ActorFault{ActorFault::Kind::kRequest, "actor_token_type_without_token"};
    return presented;
  }
  if (!request.client.assertion().empty() && token == request.client.assertion()) {
    presented.is_client_assertion = true;
    return presented;
  }
  auto proof = read_actor_token(call, token, type);
  if (proof)
    presented.proof = std::move(proof).value();
  else
    presented.fault = proof.reason();
  return presented;
}

AgentVerdict check_agent_proof(Call& call, const TokenRequest& request, const PresentedProof& presented,
                               const DelegationChain& chain, std::string_view code,
                               store::Transaction& transaction) {
  const ErrorDialect dialect = call.settings().error_dialect;
  const Actor* bound = chain.outermost();
  if (presented.fault && presented.fault->kind == ActorFault::Kind::kRequest) {  // X13
    return verdict(AgentRefusal::kRequest, ErrorCode::kInvalidRequest,
                   request.mixes_drafts ? "names of two versions of the draft are used in one request"
                                        : "actor_token_type is not supported or does not fit the actor_token",
                   presented.fault->reason);
  }
  const bool for_agent = bound != nullptr && bound->kind == ActorKind::kAgent;
  if (!for_agent) {
    if (!presented.sent) return {};
    return verdict(AgentRefusal::kOtherActor, ErrorCode::kInvalidGrant,  // X16
                   "actor_mismatch: no agent was authorized here, but an actor_token was sent",
                   "actor_token_without_actor");
  }
  const Client& client = request.client.registration();
  const bool is_that_agent = client.agent.text() == bound->id;
  if (!presented.sent || presented.is_client_assertion) {
    // D-13: the client IS this agent and proved itself with its key, which proves the agent.
    if (is_that_agent && request.client.proved_with_key()) return {};
    if (presented.is_client_assertion) {
      return {AgentRefusal::kOtherActor, actor_error(dialect, ActorError::kMismatch, "actor_mismatch"), {}};
    }
    return verdict(
        AgentRefusal::kRequest, ErrorCode::kInvalidRequest,
        "actor_token is required: this authorization is bound to an agent, which must prove itself",
        "actor_token_missing");
  }
  if (presented.fault) {  // X14
    return {
        AgentRefusal::kToken, actor_error(dialect, ActorError::kTokenInvalid, presented.fault->reason), {}};
  }
  const auto agent = confirm_actor(call, *presented.proof, request.client, code, transaction);
  if (!agent) {
    return {AgentRefusal::kToken, actor_error(dialect, ActorError::kTokenInvalid, agent.reason().reason), {}};
  }
  if ((*agent)->id.text() != bound->id) {  // X15
    return {AgentRefusal::kOtherActor, actor_error(dialect, ActorError::kMismatch, "actor_mismatch"), {}};
  }
  AgentVerdict proved;
  proved.instance = presented.proof->instance();
  return proved;
}

void name_instance(Issuance& issuance, const AgentVerdict& proved) {
  auto& actors = issuance.access_token.chain.actors;
  if (!actors.empty()) actors.front().instance = proved.instance;
}

}  // namespace behalf::oauth
