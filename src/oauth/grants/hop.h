// One hop: a token of ours becomes a narrower one for the next in line. Token exchange (RFC 8693) and
// Microsoft's On-Behalf-Of are two spellings of it; both end here, so that both land in one lineage under the
// same rules.
#pragma once

#include <memory>
#include <optional>

#include "oauth/actor_token.h"
#include "oauth/grants/grant.h"
#include "oauth/own_token.h"

namespace behalf::oauth {

struct HopRequest {
  OwnToken subject;                        // the token presented
  std::shared_ptr<const Agent> actor;      // proved by an actor token; null: none was sent
  std::string actor_instance;              // which copy of that agent it is, as the proof says; empty: unsaid
  std::shared_ptr<const Resource> target;  // null: not named
  std::optional<ScopeSet> scope;
  bool must_be_audience = false;      // On-Behalf-Of: the caller must be the token's audience (D-81)
  bool all_scopes_of_target = false;  // "<resource>/.default" (D-85)
  bool offline = false;               // a refresh token is asked for
};

// Which error a bad subject token is: invalid_request in RFC 8693, invalid_grant in On-Behalf-Of.
Answer<Issuance> hop(Call& call, const TokenRequest& request, const HopRequest& asked, ErrorCode bad_subject,
                     store::Transaction& transaction);

}  // namespace behalf::oauth
