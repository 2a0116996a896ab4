// What endpoints are given: the outside world, the store, the keys, the settings. Built once
// (app/services.cc), passed down by reference; there are no globals.
#pragma once

#include <string>
#include <vector>

#include "base/environment.h"
#include "base/time.h"
#include "model/delegation.h"
#include "oauth/error.h"
#include "oauth/keys.h"
#include "oauth/limits.h"
#include "oauth/password_pool.h"
#include "oauth/token_cache.h"
#include "oauth/verifying_keys.h"
#include "store/store.h"

namespace behalf::oauth {

// Validated at start (app/config.cc); the defaults are the product's.
struct Settings {
  std::string issuer;          // byte for byte as configured, without a trailing slash
  bool secure_cookies = true;  // false only when the issuer is http on a loopback host
  Seconds code_lifetime{60};
  Seconds pushed_request_lifetime{90};
  Seconds interaction_lifetime{600};  // from /authorize to the decision
  Seconds session_lifetime{12 * 3600};
  Seconds session_idle{3600};
  Seconds access_token_lifetime_limit{3600};
  Seconds actor_token_lifetime{300};
  Seconds grant_lifetime{30 * 86400};  // a consent ends by itself after this
  Seconds refresh_retry_window{60};    // an honest retry of a refresh gets the same successor
  Seconds clock_leeway{60};
  size_t max_chain_depth = kDefaultMaxChainDepth;
  bool require_pushed_authorization_requests = false;
  bool strict_draft02 = false;  // what the -02 draft demands beyond us: `state` (D-20)
  bool legacy_draft00 = false;  // the -00 draft's names and grant type are understood too (D-44)
  bool obo_emit_act = true;     // false: On-Behalf-Of tokens carry no `act`, as Microsoft's do (D-82)
  ErrorDialect error_dialect = ErrorDialect::kRegistered;  // (D-10)
  LimitSettings limits;
  std::vector<std::string> push_hosts;  // where security events may be pushed to: "host" or "host:port"
};

// How long an expired node is kept. A refresh token that was passed on lives no longer than this, so that the
// tokens above it are still there to be ended with everything below.
inline constexpr Seconds kKeepExpired{86400};

struct Services {
  const Settings& settings;
  Clock& clock;
  Random& random;
  store::Store& store;
  const Keys& keys;
  TokenCache& token_cache;
  VerifyingKeys& verifying_keys;
  PasswordPool& passwords;
  Limits& limits;
};

}  // namespace behalf::oauth
