// The agent's proof where a code or refresh token is bound to an agent: shared by both, so that the rules
// cannot differ.
#pragma once

#include <optional>

#include "oauth/actor_token.h"
#include "oauth/grants/grant.h"

namespace behalf::oauth {

struct PresentedProof {
  bool sent = false;
  bool is_client_assertion = false;  // the same JWT as the client's own (D-13)
  std::optional<ActorProof> proof;
  std::optional<ActorFault> fault;  // why the token that was sent is not good
};

// Outside the transaction. A malformed token is noted, not refused: the code must be spent all the same
// (D-11).
PresentedProof read_agent_proof(Call& call, const TokenRequest& request);

enum class AgentRefusal { kNone, kRequest, kToken, kOtherActor };

struct AgentVerdict {
  AgentRefusal refusal = AgentRefusal::kNone;
  OAuthError error;
  std::string instance = {};  // of the agent, as its proof says (D-52)
};

// Inside the transaction: is the agent of `chain` proved? X13 to X16.
AgentVerdict check_agent_proof(Call& call, const TokenRequest& request, const PresentedProof& presented,
                               const DelegationChain& chain, std::string_view code,
                               store::Transaction& transaction);

// The token names the copy of the agent that proved itself for it; what it came from names none.
void name_instance(Issuance& issuance, const AgentVerdict& proved);

}  // namespace behalf::oauth
