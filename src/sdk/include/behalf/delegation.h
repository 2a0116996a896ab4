// Who stands behind a request: the person, the client, and the whole chain of agents, read from a verified
// access token (RFC 9068, RFC 8693 §4.1). Plain values; copy them freely.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/export.h"

namespace behalf::sdk {

// Times are milliseconds since 1970 (UTC).
using Milliseconds = int64_t;

// What the wall clock says: the `now` of everything that asks for one.
BEHALF_PUBLIC Milliseconds system_now();
// A clock that never steps back and goes on while the machine sleeps: for "how old is what I know".
BEHALF_PUBLIC Milliseconds steady_now();

// One `act`: who acted (RFC 8693 §4.1).
struct Hop {
  std::string issuer;    // `iss`; the token's own where the hop names none
  std::string subject;   // `sub`: the agent's id, never a client's
  std::string profile;   // `sub_profile`: "ai_agent", "service", or what was said; empty if nothing was
  std::string instance;  // `agent_instance`: which running copy. Information, never policy
};

// What a token says once it has been verified. Decide on `subject` and `actor()`; inner hops may forbid,
// never permit (RFC 8693 §4.1: they are information).
struct BEHALF_PUBLIC Delegation {
  std::string issuer;               // `iss`
  std::string subject;              // `sub`: the person; software where it acts for itself
  std::string subject_profile;      // `sub_profile`: "user", "ai_agent", "service"
  std::string client;               // `client_id`: the app it was issued to. Never the actor
  std::string resource;             // the one of `aud` that the verifier answers for
  std::string grant;                // `grant_id`: the consent it rests on; empty where no person consented
  std::string token_id;             // `jti`
  std::string key_id;               // `kid` of the key that signed it
  std::string signer;               // RFC 7638 thumbprint of that key: another may have its `kid` one day
  std::vector<Hop> chain;           // newest first: chain.front() acts now
  std::vector<std::string> via;     // `via`: clients it was passed on through, other than `client`
  std::vector<std::string> scopes;  // `scope`
  Milliseconds issued_at =
      0;  // to the millisecond where `jti` tells it, else the start of the second of `iat`
  Milliseconds expires_at = 0;                   // `exp`
  std::optional<Milliseconds> authenticated_at;  // `auth_time`
  std::string acr;                               // `acr`
  std::vector<std::string> amr;                  // `amr`
  bool is_bound = false;                         // `cnf` is there: not a bearer token
  std::string key_thumbprint;                    // `cnf.jkt`: of a DPoP-bound token (RFC 9449 §6)
  std::string certificate_thumbprint;            // `cnf.x5t#S256`: of an mTLS-bound token (RFC 8705 §3.1)

  // True for an agent of the token's own issuer: another issuer's may have the same `sub`.
  bool is_own(const Hop& hop) const { return hop.issuer.empty() || hop.issuer == issuer; }
  // A hop where nothing beside it says whose agent it is: `sub`; of another issuer's agent `issuer#sub`.
  std::string name_of(const Hop& hop) const;
  // Who acts now; null: the subject itself.
  const Hop* actor() const { return chain.empty() ? nullptr : &chain.front(); }
  bool has_scope(std::string_view scope) const;
  // True if `id` stands anywhere in the chain.
  bool names_in_chain(std::string_view id) const;
};

}  // namespace behalf::sdk
