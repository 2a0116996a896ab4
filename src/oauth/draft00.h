// The names of draft-oauth-ai-agents-on-behalf-of-user-00, understood only where the operator switched them
// on (decision D-44). A request in them is rewritten into today's names before anything looks at it, so there
// is one path and one set of checks.
#pragma once

#include <string_view>

#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

inline constexpr std::string_view kDraft00GrantType =
    "urn:ietf:params:oauth:grant-type:agent-authorization_code";

struct CurrentNames {
  http::Form form;
  bool is_draft00 = false;  // something was rewritten
  bool mixed = false;       // old and new names in one request: to be refused; the parameters stand as sent
};

// /authorize and /par: `requested_agent` and `agent_token`.
CurrentNames authorization_in_current_names(const Settings& settings, const http::Form& form);
// /token: the grant type, and `agent_token` for it and for refresh_token. When mixed, the grant type is
// rewritten all the same, so that the code is spent like by any other failed redemption (D-11).
CurrentNames token_request_in_current_names(const Settings& settings, http::Form form);

}  // namespace behalf::oauth
