// Refusals as the specifications name them. One table says status and place of each (error.cc); a switch
// without default keeps it complete.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "http/message.h"

namespace behalf::oauth {

enum class ErrorCode {
  kInvalidRequest,
  kInvalidClient,
  kInvalidGrant,
  kUnauthorizedClient,
  kUnsupportedGrantType,
  kInvalidScope,
  kInvalidTarget,
  kAccessDenied,
  kUnsupportedResponseType,
  kLoginRequired,
  kConsentRequired,
  kInteractionRequired,
  kInvalidRequestUri,
  kRequestNotSupported,
  kRequestUriNotSupported,
  kUnsupportedTokenType,
  kInvalidActor,
  kInvalidActorToken,
  kActorMismatch,
  kActorUnauthorized,
  kConsentDenied,
  kInsufficientUserAuthentication,
  kUnmetAuthenticationRequirements,
  kInvalidToken,
  kInsufficientScope,
  kTooManyRequests,
  kServerError,
  kTemporarilyUnavailable,
};

struct OAuthError {
  ErrorCode code = ErrorCode::kServerError;
  std::string description;  // may be shown to the caller
  std::string reason;       // for the audit log alone; never leaves the process otherwise
  std::string extra;        // further members of the JSON answer, each preceded by a comma; empty: none
  Seconds retry_after{0};   // the Retry-After header; 0: none
};

template <class T>
using Answer = Result<T, OAuthError>;

inline Refused<OAuthError> refuse(ErrorCode code, std::string_view description, std::string_view reason,
                                  std::string extra = {}) {
  return Refused{OAuthError{code, std::string(description), std::string(reason), std::move(extra), {}}};
}

// A description fit to be sent: printable ASCII without quote and backslash (RFC 6749 §5.2), at most 300 of
// it.
std::string presentable(std::string_view text);

// Over a limit (oauth/limits.h): 429 with Retry-After.
OAuthError too_many_requests(Seconds wait, std::string_view reason);

// What an agent or its proof can be refused for, apart from what OAuth itself refuses (decision D-10). One
// table says it in both dialects; an answer never mixes them.
enum class ActorError {
  kUnknown,             // X02: unknown, suspended or not for this client; one answer for all
  kNotForPerson,        // X02, once the person is known
  kDenied,              // X07: the person said no to an agent
  kPushedTokenInvalid,  // X09
  kPushedMismatch,      // X10
  kTokenInvalid,        // X14
  kMismatch,            // X15
  kUnauthorized,        // X18: a token exchange that policy forbids
};
// Which codes these refusals have: registered ones with a stable prefix in the description, or those of
// draft-oauth-dynamic-authz-delegation-to-actors.
enum class ErrorDialect { kRegistered, kSuccessor };
OAuthError actor_error(ErrorDialect dialect, ActorError what, std::string_view reason);

std::string_view name_of(ErrorCode code);
int status_of(ErrorCode code);

// {"error":...,"error_description":...} with no-store (RFC 6749 §5.2). `basic_was_used` adds the challenge a
// 401 owes.
enum class Challenge { kNone, kBasic };
http::Response error_response(const OAuthError& error, Challenge challenge = Challenge::kNone);
// The same for a request that could not even be looked at (405, 413, 415, ...).
http::Response plain_error(int status, std::string_view error, std::string_view description);
// 503 with Retry-After: the store cannot be used, nothing was issued.
http::Response unavailable_response();

}  // namespace behalf::oauth
