// Provenance: every code and token is a node under one root. The store keeps the tree; decisions are made
// from it, never from what a token or a parameter claims.
//
//   grant (one consent) ──> code ──> access token ──> exchanged access token ──> ...
//                             └────> refresh token ──> its successor, access tokens
//   client_credentials token (its own root) ──> exchanged access token ──> ...
//
// A node is dead when it ended or expired, when its grant ended or expired, or when any principal it names
// (person, client, every actor of the chain) is no longer active in the epoch it was issued under (invariant
// I5).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "model/delegation.h"
#include "model/ids.h"
#include "model/scope.h"

namespace behalf {

enum class SubjectKind { kUser, kAgent, kClient };

// Whose authority it is: a person, or software that acts for itself.
struct Subject {
  SubjectKind kind = SubjectKind::kUser;
  std::string id;
  int64_t epoch = 1;
  bool operator==(const Subject&) const = default;
};

// How the person signed in; travels unchanged through refresh and exchange (RFC 9470: never laundered
// upward).
struct SignIn {
  UnixTime auth_time;
  std::string acr;
  std::string amr;  // space-separated
  bool operator==(const SignIn&) const = default;
};

// One decision of a person: this client and this agent may do this, there, until then.
struct Grant {
  GrantId id;
  UserId user;
  int64_t user_epoch = 1;
  ClientId client;
  int64_t client_epoch = 1;
  AgentId agent;  // empty: no agent
  int64_t agent_epoch = 1;
  ScopeSet scopes;
  std::vector<ResourceId> resources;
  std::string redirect_host;       // where the code went, as shown
  bool offline = false;            // may be used while the person is away (refresh tokens)
  int onward_depth = 0;            // further hops the person allowed after the agent
  std::string agent_owner;         // as shown; a change asks again (D-18)
  std::string capability_version;  // as shown; a change asks again (D-18)
  std::string purpose;             // in the registry's words, as shown; empty: none was stated
  json::Value shown;               // the permissions in the words that were on the page
  UnixTime created_at;
  UnixTime expires_at;
  std::optional<UnixTime> last_used_at;
  std::optional<UnixTime> ended_at;
  std::string ended_cause;
};

// Whether two consents of one person allow the same: given again, it is one thing to that person.
bool allow_the_same(const Grant& one, const Grant& other);

enum class NodeKind { kCode, kAccessToken, kRefreshToken };
std::string_view name_of(NodeKind kind);

// What a code was bound to when it was issued (I1): redeemed only if all of it is presented again.
struct CodeBinding {
  std::string redirect_uri;
  std::string code_challenge;
};

// A client in the epoch something was issued under.
struct ClientStamp {
  ClientId id;
  int64_t epoch = 1;
  bool operator==(const ClientStamp&) const = default;
};

// What a token said that was passed on. The token itself is forgotten before what came of it may end (a
// refresh token lives longer), and what its holder may is asked again as long as anything of it stands.
struct PassedOn {
  ClientId client;
  ResourceId resource;
  ScopeSet scope;
  size_t depth = 0;  // actors of its chain: those that are innermost now
  bool operator==(const PassedOn&) const = default;
};

struct Node {
  NodeId id;
  NodeKind kind = NodeKind::kAccessToken;
  GrantId grant;            // empty for a root of its own (client_credentials) and what descends from it
  NodeId root;              // the first node of this lineage; equals `id` for the first
  NodeId parent;            // empty for the first
  std::string secret_hash;  // keyed hash of the credential's secret; empty for a JWT
  Subject subject;
  ClientId client;
  int64_t client_epoch = 1;
  std::vector<ClientStamp> via;     // clients of the nodes above, where they differ: their end ends this too
  std::vector<PassedOn> passed_on;  // the tokens of the hops above, oldest first
  DelegationChain chain;
  int depth_left = 0;  // further hops allowed below this node
  ScopeSet scope;
  ResourceId resource;                // `aud` of an access token; empty for a code and a refresh token
  std::vector<ResourceId> resources;  // what a code or refresh token may be turned into, one at a time
  bool offline = false;
  std::optional<SignIn> sign_in;
  json::Value may_act;     // null: none
  bool hides_act = false;  // issued On-Behalf-Of where `act` is switched off (D-82); the chain above stays
  bool is_actor_token = false;  // audience is this server: proves an agent, opens no API (D-04 a)
  std::optional<CodeBinding> code;
  UnixTime issued_at;
  UnixTime expires_at;
  std::optional<UnixTime> spent_at;
  std::optional<UnixTime> ended_at;
  std::string ended_cause;
  NodeId successor;                     // of a refresh token that was rotated
  std::optional<int64_t> status_place;  // in the status lists, counted through all of them
};

}  // namespace behalf
