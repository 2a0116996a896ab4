// The authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 8707, RFC 9126,
// draft-oauth-ai-agents-on-behalf-of-user-02 §5.1): read once, checked in one order (client, redirect URI,
// everything else), stored, and never read from the browser again (invariant I7). The same function serves
// /authorize and /par.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "model/authorization.h"
#include "oauth/call.h"
#include "oauth/client_auth.h"
#include "oauth/error.h"

namespace behalf::oauth {

// Where an answer may go once client and redirect URI are known to be right.
struct ReturnAddress {
  std::string redirect_uri;
  ResponseMode response_mode = ResponseMode::kQuery;
  std::optional<std::string> state;
};

struct AuthorizationRefusal {
  OAuthError error;
  std::optional<ReturnAddress> return_to;  // absent: nowhere is safe; show a page, never redirect (X01)
};

enum class Channel { kBrowser, kPushed };

// Everything but what the person decides. On success the request is complete except for ids and bindings.
Result<AuthorizationRequest, AuthorizationRefusal> read_authorization_request(Call& call,
                                                                              const http::Form& form,
                                                                              Channel channel);

// The address that a stored request answers to.
ReturnAddress return_address(const AuthorizationRequest& request);

// RFC 6749 §4.1.2, RFC 9207: the parameters of a response, `iss` and `state` included.
using ResponseParameters = std::vector<std::pair<std::string, std::string>>;
ResponseParameters success_parameters(const Settings& settings, const ReturnAddress& to,
                                      const std::string& code);
ResponseParameters error_parameters(const Settings& settings, const ReturnAddress& to,
                                    const OAuthError& error);
// The redirect URI with the parameters appended to its query.
std::string response_location(const ReturnAddress& to, const ResponseParameters& parameters);

// POST /par (RFC 9126).
Task<http::Response> pushed_authorization_endpoint(Services& services, http::Request& request);

inline constexpr std::string_view kRequestUriPrefix = "urn:ietf:params:oauth:request_uri:";

}  // namespace behalf::oauth
