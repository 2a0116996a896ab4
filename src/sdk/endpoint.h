// Where an authorization server answers, as the SDK's own threads ask it: URLs under an issuer, and one call.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "http/client.h"

namespace behalf::sdk {

// "https://as.example/tenant" and "oauth-authorization-server" to
// "https://as.example/.well-known/oauth-authorization-server/tenant" (RFC 8414 §3.1, SSF 1.0 §7.2.1).
// Throws std::invalid_argument if `issuer` is no http or https URL.
std::string well_known_url(std::string_view issuer, std::string_view name);

// True if `url` may be used where an issuer's own document names it: an https issuer does not send us to
// http.
bool is_as_safe_as(std::string_view issuer, std::string_view url);

// The JSON object at `url`. Throws std::runtime_error saying in plain words what is wrong.
json::Value get_object(const std::string& url, const std::string& ca_file, const http::Interrupt* interrupt);

}  // namespace behalf::sdk
