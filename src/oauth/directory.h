// GET /directory: which agents there are and who answers for them, for guards whose policy speaks of an
// agent's publisher, owner or status. Scope behalf.signals.
#pragma once

#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

Task<http::Response> directory_endpoint(Services& services, http::Request& request);

}  // namespace behalf::oauth
