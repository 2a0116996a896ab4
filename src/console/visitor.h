// What the parts of the front channel share: who is at the browser, and when the person must sign in.
// For front_channel.cc, sign_in.cc, consent_page.cc and my_agents.cc alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "console/front_channel.h"
#include "oauth/consent.h"

namespace behalf::console {

// Who is at the browser, as far as the cookies say.
struct FrontChannel::Visitor {
  std::string browser;  // the value of the binding cookie, new or old
  bool is_new_browser = false;
  std::string browser_hash;
  std::optional<Session> session;
};

// Must the person sign in (again) before this request may go on? Judged by the moment the request was made,
// so that the sign-in which satisfied it does not grow stale while the page is read.
inline bool needs_sign_in(const AuthorizationRequest& request, const std::optional<Session>& session) {
  if (!session) return true;
  const UnixTime signed_in = session->sign_in.auth_time;
  if (signed_in >= request.created_at) return false;
  if (request.prompt.login || request.prompt.select_account) return true;
  if (!oauth::meets_acr(request, session->sign_in)) return true;
  return request.max_age && signed_in + *request.max_age <= request.created_at;
}

inline oauth::OAuthError error(oauth::ErrorCode code, std::string_view description, std::string_view reason) {
  return {code, std::string(description), std::string(reason), {}, {}};
}

}  // namespace behalf::console
