// What a resource answers to a request it does not serve: status, `WWW-Authenticate` and body
// (RFC 6750 §3, RFC 9728 §5.1, RFC 9470 §3, draft-oauth-ai-agents-on-behalf-of-user-02 §5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/delegation.h"
#include "behalf/export.h"
#include "behalf/verifier.h"

namespace behalf::sdk {

struct Decision;

// What is put into it cannot break out of it: characters that RFC 6750 does not allow become '_'.
struct Challenge {
  int status = 401;
  std::string www_authenticate;  // value of the header; empty: none
  std::string body;              // application/json; empty: none
  int64_t retry_after = 0;       // seconds, value of the header; 0: none
};

// `resource_metadata`: the URL of the API's RFC 9728 document; put into every challenge, unless it is empty.
class BEHALF_PUBLIC Challenger {
 public:
  explicit Challenger(std::string resource_metadata);
  // 401 without `error`: no token was sent (RFC 6750 §3.1). `scopes`: what would be needed, if known.
  Challenge token_missing(const std::vector<std::string>& scopes = {}) const;
  // 400: two tokens, a token in the query or body, a header that is no header (RFC 6750 §2, §3.1).
  Challenge invalid_request(std::string_view description) const;
  // 401 invalid_token; 503 where the verifier itself could not know (stale feed, no keys).
  Challenge refused(Refusal refusal) const;
  // 401 invalid_token: delegation claims are missing (the draft: an agent must act here).
  Challenge actor_missing() const;
  // 403 insufficient_scope with `scope` and `required_scope`, all that the operation needs.
  Challenge insufficient_scope(const std::vector<std::string>& scopes) const;
  // 403 actor_unauthorized: more scope would not help.
  Challenge actor_unauthorized(std::string_view description) const;
  // 403 access_denied: policy says no, and nothing the caller could fetch would change it.
  Challenge denied(std::string_view description) const;
  // 401 insufficient_user_authentication (RFC 9470 §3).
  Challenge step_up(std::string_view acr_values, std::optional<int64_t> max_age_seconds) const;
  // 429 with the seconds to wait in the description and in `retry_after`; 0: waiting does not help.
  Challenge too_many_requests(int64_t retry_after_seconds) const;
  // Whatever a policy decided that is not to allow (policy.h).
  Challenge answer(const Decision& decision) const;

 private:
  std::string resource_metadata_;
};

}  // namespace behalf::sdk
