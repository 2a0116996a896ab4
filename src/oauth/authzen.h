// AuthZEN Authorization API 1.0, this server as the decision point (docs/authzen.md). Scope behalf.decisions.
#pragma once

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

// POST /access/v1/evaluation and POST /access/v1/evaluations.
Task<http::Response> evaluation_endpoint(Services& services, http::Request& request);
Task<http::Response> evaluations_endpoint(Services& services, http::Request& request);

// GET /.well-known/authzen-configuration
http::Response authzen_metadata(const Services& services);

}  // namespace behalf::oauth
