// POST /token (RFC 6749 §3.2): every shared step, and the one list of grant types.
#pragma once

#include <span>
#include <string_view>

#include "base/task.h"
#include "http/message.h"
#include "oauth/grants/grant.h"
#include "oauth/services.h"

namespace behalf::oauth {

// What is offered; the metadata document and the registration check read it too.
std::span<const GrantType* const> grant_types();

Task<http::Response> token_endpoint(Services& services, http::Request& request);

}  // namespace behalf::oauth
