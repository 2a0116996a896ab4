// The agent's proof (decision D-04): a short access token of ours for this server itself, or an assertion the
// agent signed with a registered key. Never an ID token, a refresh token, a token for another audience, or
// one with `act`.
//
// Two halves, like client authentication: `read_actor_token` proves without a transaction, `confirm_actor`
// inside it sees that the agent still stands, that the proof was not used before, and that policy accepts
// this kind of proof here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "model/registry.h"
#include "oauth/call.h"
#include "oauth/client_auth.h"
#include "oauth/error.h"

namespace behalf::oauth {

// What is wrong with an actor token. The endpoint decides which OAuth error that is (X13, X14 or X18).
struct ActorFault {
  enum class Kind { kRequest, kToken };  // the request is malformed, or the token is not good
  Kind kind = Kind::kToken;
  std::string reason;
};

struct ActorAssertion {  // D-04 (b)
  std::string agent;
  int64_t agent_version = 0;
  std::string jti;
  UnixTime expires_at;
  std::string client_id;  // if the assertion names the client it is meant for (D-08)
  std::string c_hash;     // if it names the code it is meant for (D-08)
  std::string instance;   // which running copy of the agent signed it, if it says so (D-52)
};
struct IssuedActorToken {  // D-04 (a)
  NodeId node;
};

// Only read_actor_token makes one.
class ActorProof {
 public:
  // Which running copy of the agent it is, as its own signature says; empty: unsaid.
  std::string_view instance() const;

 private:
  friend Result<ActorProof, ActorFault> read_actor_token(Call&, std::string_view, std::string_view);
  friend Result<std::shared_ptr<const Agent>, ActorFault> confirm_actor(Call&, const ActorProof&,
                                                                        const AuthenticatedClient&,
                                                                        std::string_view,
                                                                        store::Transaction&);
  explicit ActorProof(std::variant<ActorAssertion, IssuedActorToken> proof) : proof_(std::move(proof)) {}
  std::variant<ActorAssertion, IssuedActorToken> proof_;
};

Result<ActorProof, ActorFault> read_actor_token(Call& call, std::string_view actor_token,
                                                std::string_view actor_token_type);

// `code` is the authorization code it is presented for, or empty.
Result<std::shared_ptr<const Agent>, ActorFault> confirm_actor(Call& call, const ActorProof& proof,
                                                               const AuthenticatedClient& client,
                                                               std::string_view code,
                                                               store::Transaction& transaction);

}  // namespace behalf::oauth
