// Recognising our own access tokens. Provenance is the proof: a token whose hash we remember needs no
// signature check; any other is verified once and remembered. Either way only its node id is taken from it:
// what it may do is asked of the store.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
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

// An access token of ours, or a machine-readable reason why it is none.
Result<OwnToken, std::string_view> recognise_own_token(Services& services, std::string_view token,
                                                       UnixTime now);

}  // namespace behalf::oauth
