// Looking at and giving back tokens: RFC 7662 and RFC 7009.
#pragma once

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

// POST /introspect. Only an authenticated client; the answer is active only for the resource the token is
// addressed to, or for the client that holds it. Everything else is exactly {"active":false}.
Task<http::Response> introspection_endpoint(Services& services, http::Request& request);

// POST /revoke. Ends the caller's own token and all that descends from it; a refresh token takes its whole
// family along. Unknown tokens and other clients' are answered 200 and left alone (RFC 7009 §2.2).
Task<http::Response> revocation_endpoint(Services& services, http::Request& request);

}  // namespace behalf::oauth
