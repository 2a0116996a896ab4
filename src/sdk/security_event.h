// What a security event token says was revoked (RFC 8417, CAEP 1.0; docs/revocation-feed.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "behalf/revocations.h"
#include "crypto/jwt.h"
#include "sdk/key_source.h"

namespace behalf::sdk {

struct RevokedItem {
  RevokedKind kind = RevokedKind::kToken;
  std::string id;
  Milliseconds at = 0;
  Milliseconds until = 0;
};

// Why a SET was not taken, as the transmitter is told it (RFC 8935 §2.4).
struct EventFault {
  std::string code;
  std::string description;
};

struct ReceivedEvent {
  std::optional<RevokedItem> revoked;  // nothing: an event that ends no token
};

// Verifies `set` with `keys`: type, issuer, audience, and that its `jti` is the one it was delivered under.
// A verified event of a kind that is not known here is nothing to act upon (SSF 1.0 §8.1.2).
Result<ReceivedEvent, EventFault> read_security_event(std::string_view set, std::string_view jti,
                                                      const std::string& issuer, const std::string& audience,
                                                      const KeySet& keys);

// The key a SET says it is signed with; empty if it says none.
std::string key_of_security_event(std::string_view set);

}  // namespace behalf::sdk
