// Recognising our own access tokens. Provenance is the proof: a token whose hash we remember needs no
// signature check; any other is verified once and remembered. Either way only its node id is taken from it:
// what it may do is asked of the store.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/jwt.h"
#include "model/lineage.h"
#include "oauth/services.h"

namespace behalf::oauth {

// A token that is ours if `proves` its node, once that has been looked up.
struct OwnToken {
  NodeId node;
  bool is_opaque = false;
  std::string secret_hash;  // keyed; of an opaque token's secret. Empty where we know already that it is ours

  bool proves(const Node& found) const;
};

// Whether a JWT is an access token that this server signed, expired or not. When it expires the store knows,
// with everything else that may have ended it: to be found, a token need not live, or revoking one would
// depend on what is remembered.
Result<crypto::VerifiedJwt, crypto::JwtFault> verify_own_jwt(const crypto::EncodedJwt& jwt,
                                                             const std::string& issuer,
                                                             std::span<const crypto::VerifyingKey> keys,
                                                             UnixTime now);

// An access token of ours, or a machine-readable reason why it is none.
Result<OwnToken, std::string_view> recognise_own_token(Services& services, std::string_view token,
                                                       UnixTime now);

}  // namespace behalf::oauth
