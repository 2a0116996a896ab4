// What the server says of itself, made from what it does: RFC 8414, RFC 9728, the key set.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

// /.well-known/oauth-authorization-server and /.well-known/openid-configuration: the same truth at both
// addresses.
http::Response server_metadata(const Services& services);
http::Response key_set(const Services& services);

// /.well-known/oauth-protected-resource<path>: the resource whose identifier has this path, on any host we
// know (RFC 9728 §3.1). Nothing if there is none.
std::optional<http::Response> resource_metadata(const Services& services, std::string_view path);

}  // namespace behalf::oauth
