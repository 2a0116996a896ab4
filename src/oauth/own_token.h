// Recognising our own access tokens. Provenance is the proof: a token whose hash we remember needs no
// signature check; any other is verified once and remembered. Either way only its node id is taken from it:
// what it may do is asked of the store.
#pragma once

#include <string_view>

#include "base/result.h"
#include "oauth/services.h"

namespace behalf::oauth {

// The node of an access token of ours, or a machine-readable reason why it is none.
Result<NodeId, std::string_view> recognise_own_token(Services& services, std::string_view token,
                                                     UnixTime now);

}  // namespace behalf::oauth
