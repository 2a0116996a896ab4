// POST /evidence: what resource servers and guards let through and refused, appended to the one audit log
// (docs/evidence.md). Scope behalf.evidence, and only about the resource the reporter is.
#pragma once

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

Task<http::Response> evidence_endpoint(Services& services, http::Request& request);

}  // namespace behalf::oauth
