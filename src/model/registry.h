// Who and what exists: users, agents, clients, resources. Plain values; the rules about them are elsewhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "model/ids.h"
#include "model/scope.h"

namespace behalf {

enum class Status { kActive, kSuspended, kDeleted };
std::string_view name_of(Status status);

// What every user, agent and client has. `epoch` grows whenever the principal is suspended, deleted or made
// anew: whatever was issued under an earlier epoch is dead for good, also after a return (invariant I5).
// `version` grows with every change, so that a decision made on a stale copy is noticed.
struct Principal {
  Status status = Status::kActive;
  int64_t epoch = 1;
  int64_t version = 1;
  bool is_active() const { return status == Status::kActive; }
};

// "*" is written out where everyone is meant; an empty list means nobody.
struct AllowList {
  bool everyone = false;
  std::vector<std::string> names;
  bool allows(std::string_view name) const;
  bool operator==(const AllowList&) const = default;
};

struct User : Principal {
  UserId id;
  std::string username;  // what is typed at login; may change, the id may not
  std::string display_name;
  std::string password_hash;             // argon2id PHC string; empty: cannot log in with a password
  std::optional<ScopeSet> entitlements;  // the most this person may delegate; absent: everything
};

// To whom, how deep and how long an agent may pass on what it was given.
struct OnwardPolicy {
  AllowList to;                     // agents (and service clients) that may come next
  int depth = 0;                    // further hops after this agent; 0: may not pass it on
  std::optional<Seconds> lifetime;  // the longest life of a token passed on
  bool operator==(const OnwardPolicy&) const = default;
};

// A purpose that may be named in a request (`intent_scope`), and the words in which a person reads it (D-45).
struct Intent {
  std::string name;
  std::string text;
  bool operator==(const Intent&) const = default;
};

struct Agent : Principal {
  AgentId id;
  std::string name;
  std::string publisher;
  std::string owner;
  std::string description;
  std::string capability_version;  // a change makes consent be asked again (D-18)
  json::Value jwks;                // public keys for self-signed actor assertions; null: none
  ScopeSet scopes;                 // ceiling
  AllowList clients;               // who may name it and relay its proof
  AllowList users{.everyone = true, .names = {}};
  AllowList resources{.everyone = true, .names = {}};
  OnwardPolicy onward;
  std::vector<std::string>
      reenter_after;  // agents after which it may appear a second time in one chain (D-68)
  Seconds access_token_lifetime{300};
  std::optional<Seconds> refresh_lifetime;  // absent: no refresh tokens (D-31)
  bool bearer_actor_tokens = false;         // AS-issued actor tokens without a key are accepted (D-08)
  ClientId parent;                          // may mint actor tokens for it (D-86); empty: nobody
  std::vector<Intent> intents;              // what it may say it is asking for

  const Intent* find_intent(std::string_view intent) const;
};

enum class ClientAuthMethod { kNone, kClientSecretBasic, kClientSecretPost, kPrivateKeyJwt };
std::string_view name_of(ClientAuthMethod method);

struct Client : Principal {
  ClientId id;
  std::string name;
  ClientAuthMethod auth_method = ClientAuthMethod::kClientSecretBasic;
  std::string secret_hash;           // keyed hash, base64url; empty: none
  std::string previous_secret_hash;  // valid until previous_secret_until, for rotation without an outage
  UnixTime previous_secret_until;
  json::Value jwks;  // for private_key_jwt
  std::vector<std::string> redirect_uris;
  std::vector<std::string> grant_types;
  ScopeSet scopes;               // ceiling
  AgentId agent;                 // this client IS that agent (D-13); empty: it is not
  ResourceId resource;           // the protected resource this client is (D-61, D-81); empty: none
  bool acts_as_service = false;  // without an agent of its own it may be an actor under its client id (D-66)
  std::vector<std::string> introduces;  // agents it may bring in for a user token that names no agent (D-73)
  json::Value may_act;                  // put into tokens issued to it (RFC 8693 §4.4); null: none
  bool require_requested_actor = false;
  bool require_pushed_authorization_requests = false;
  Seconds access_token_lifetime{600};
  std::optional<Seconds> refresh_lifetime;

  bool is_public() const { return auth_method == ClientAuthMethod::kNone; }
  bool may_use(std::string_view grant_type) const;
};

struct ScopeDefinition {
  std::string name;
  std::string title;
  std::string description;
  std::string required_acr = {};  // instead of the resource's; empty: as the resource says
  bool operator==(const ScopeDefinition&) const = default;
};

// Whoever holds `scope` at this resource may, when the resource itself calls on, obtain `gives` elsewhere:
// the explicit table for places whose scopes have other names (D-65).
struct ScopeMapping {
  std::string scope;
  ScopeSet gives;
  bool operator==(const ScopeMapping&) const = default;
};

// What access tokens for a resource look like: a signed JWT (RFC 9068), or a handle that says nothing and is
// asked about at /introspect (D-55).
enum class TokenFormat { kJwt, kOpaque };
// How much of the chain a resource is shown: all of it, or only who acts now (D-92).
enum class ChainDisclosure { kFull, kOutermost };
// How a resource knows a person: by the id that everyone is told, or by a name that only this resource is
// told, so that two of them cannot put their records together (D-74; the words are OpenID Connect Core §8's).
enum class SubjectType { kPublic, kPairwise };

struct Resource {
  ResourceId id;
  int64_t version = 1;
  std::string name;
  std::vector<std::string> aliases;  // other spellings clients send; `aud` is always the id
  std::vector<ScopeDefinition> scopes;
  std::vector<ScopeMapping> scope_map;
  std::string signing_alg = "ES256";
  std::optional<Seconds> access_token_lifetime;
  bool emit_aut = false;     // `aut: APPLICATION_USER` (D-27)
  std::string required_acr;  // how the person must have signed in for a token passed on to here (D-43, D-83)
  TokenFormat token_format = TokenFormat::kJwt;
  ChainDisclosure chain_disclosure = ChainDisclosure::kFull;
  SubjectType subject_type = SubjectType::kPublic;
  bool status_list = false;  // its tokens say where a status list tells whether they still stand

  ScopeSet scope_set() const;
  const ScopeDefinition* find_scope(std::string_view name) const;
  bool is_opaque() const { return token_format == TokenFormat::kOpaque; }
};

}  // namespace behalf
