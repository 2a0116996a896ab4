#include "oauth/error.h"

#include "base/json.h"

namespace behalf::oauth {
namespace {

struct Row {
  std::string_view name;
  int status;
};

Row row_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidRequest:
      return {"invalid_request", 400};  // RFC 6749 §5.2
    case ErrorCode::kInvalidClient:
      return {"invalid_client", 401};  // RFC 6749 §5.2
    case ErrorCode::kInvalidGrant:
      return {"invalid_grant", 400};  // RFC 6749 §5.2
    case ErrorCode::kUnauthorizedClient:
      return {"unauthorized_client", 400};  // RFC 6749 §5.2
    case ErrorCode::kUnsupportedGrantType:
      return {"unsupported_grant_type", 400};  // RFC 6749 §5.2
    case ErrorCode::kInvalidScope:
      return {"invalid_scope", 400};  // RFC 6749 §5.2
    case ErrorCode::kInvalidTarget:
      return {"invalid_target", 400};  // RFC 8707 §2
    case ErrorCode::kAccessDenied:
      return {"access_denied", 400};  // RFC 6749 §4.1.2.1
    case ErrorCode::kUnsupportedResponseType:
      return {"unsupported_response_type", 400};  // RFC 6749 §4.1.2.1
    case ErrorCode::kLoginRequired:
      return {"login_required", 400};  // OIDC Core §3.1.2.6
    case ErrorCode::kConsentRequired:
      return {"consent_required", 400};  // OIDC Core §3.1.2.6
    case ErrorCode::kInteractionRequired:
      return {"interaction_required", 400};  // OIDC Core §3.1.2.6
    case ErrorCode::kInvalidRequestUri:
      return {"invalid_request_uri", 400};  // RFC 9101 §7
    case ErrorCode::kRequestNotSupported:
      return {"request_not_supported", 400};  // OIDC Core §3.1.2.6
    case ErrorCode::kRequestUriNotSupported:
      return {"request_uri_not_supported", 400};  // OIDC Core §3.1.2.6
    case ErrorCode::kUnsupportedTokenType:
      return {"unsupported_token_type", 400};  // RFC 7009 §2.2.1
    case ErrorCode::kInvalidActor:
      return {"invalid_actor", 400};  // the successor draft, as the four below
    case ErrorCode::kInvalidActorToken:
      return {"invalid_actor_token", 400};
    case ErrorCode::kActorMismatch:
      return {"actor_mismatch", 400};
    case ErrorCode::kActorUnauthorized:
      return {"actor_unauthorized", 400};
    case ErrorCode::kConsentDenied:
      return {"consent_denied", 400};
    case ErrorCode::kInsufficientUserAuthentication:
      return {"insufficient_user_authentication", 400};  // RFC 9470 §3
    case ErrorCode::kUnmetAuthenticationRequirements:
      return {"unmet_authentication_requirements", 400};  // RFC 9470 §5
    case ErrorCode::kInvalidToken:
      return {"invalid_token", 401};  // RFC 6750 §3.1
    case ErrorCode::kInsufficientScope:
      return {"insufficient_scope", 403};  // RFC 6750 §3.1
    case ErrorCode::kTooManyRequests:
      return {"temporarily_unavailable", 429};  // RFC 6585 §4
    case ErrorCode::kServerError:
      return {"server_error", 500};
    case ErrorCode::kTemporarilyUnavailable:
      return {"temporarily_unavailable", 503};
  }
  return {"server_error", 500};
}

struct ActorRow {
  ErrorCode registered;
  std::string_view prefix;  // of the description, in the registered dialect
  ErrorCode successor;
  std::string_view description;
};

ActorRow row_of(ActorError what) {
  switch (what) {
    case ActorError::kUnknown:
      return {ErrorCode::kInvalidRequest, "actor_unknown: ", ErrorCode::kInvalidActor,
              "the requested actor cannot be used here"};
    case ActorError::kNotForPerson:
      return {ErrorCode::kAccessDenied, "actor_unknown: ", ErrorCode::kInvalidActor,
              "the requested actor cannot be used here"};
    case ActorError::kDenied:
      return {ErrorCode::kAccessDenied, "", ErrorCode::kConsentDenied, "the person said no"};
    case ActorError::kPushedTokenInvalid:
      return {ErrorCode::kInvalidRequest, "actor_token_invalid: ", ErrorCode::kInvalidActorToken,
              "the actor_token is not acceptable"};
    case ActorError::kPushedMismatch:
      return {ErrorCode::kInvalidRequest, "actor_mismatch: ", ErrorCode::kActorMismatch,
              "the actor_token proves another actor"};
    case ActorError::kTokenInvalid:
      return {ErrorCode::kInvalidGrant, "actor_token_invalid: ", ErrorCode::kInvalidActorToken,
              "the actor_token is not acceptable"};
    case ActorError::kMismatch:
      return {ErrorCode::kInvalidGrant, "actor_mismatch: ", ErrorCode::kActorMismatch,
              "the actor_token proves another actor than the one authorized"};
    case ActorError::kUnauthorized:
      return {ErrorCode::kInvalidRequest, "", ErrorCode::kActorUnauthorized, "the actor may not act here"};
  }
  return {ErrorCode::kServerError, "", ErrorCode::kServerError, ""};
}

http::Response write_error(int status, std::string_view error, std::string_view description,
                           std::string_view extra) {
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("error", error).add_unless_empty("error_description", presentable(description));
  body += extra;
  writer.end();
  http::Response response = http::json_response(status, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Pragma", "no-cache");
  return response;
}

}  // namespace

std::string presentable(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 300)) {
    result.push_back(c >= 0x20 && c < 0x7F && c != '"' && c != '\\' ? c : '\'');
  }
  return result;
}

std::string_view name_of(ErrorCode code) { return row_of(code).name; }
int status_of(ErrorCode code) { return row_of(code).status; }

OAuthError too_many_requests(Seconds wait, std::string_view reason) {
  return {ErrorCode::kTooManyRequests,
          "too many attempts failed; wait before the next one",
          std::string(reason),
          {},
          wait};
}

OAuthError actor_error(ErrorDialect dialect, ActorError what, std::string_view reason) {
  const ActorRow row = row_of(what);
  OAuthError error{row.registered, std::string(row.prefix), std::string(reason), {}, {}};
  if (dialect == ErrorDialect::kSuccessor) {
    error.code = row.successor;
    error.description.clear();
  }
  error.description += row.description;
  return error;
}

http::Response error_response(const OAuthError& error, Challenge challenge) {
  http::Response response =
      write_error(status_of(error.code), name_of(error.code), error.description, error.extra);
  if (error.code == ErrorCode::kInvalidClient && challenge == Challenge::kBasic) {
    response.headers.set("WWW-Authenticate", "Basic realm=\"behalf\", charset=\"UTF-8\"");
  }
  if (error.retry_after.count > 0)
    response.headers.set("Retry-After", std::to_string(error.retry_after.count));
  return response;
}

http::Response plain_error(int status, std::string_view error, std::string_view description) {
  return write_error(status, error, description, {});
}

http::Response unavailable_response() {
  http::Response response = write_error(503, "temporarily_unavailable",
                                        "the store cannot be used at the moment; nothing was issued", {});
  response.headers.set("Retry-After", "2");
  return response;
}

}  // namespace behalf::oauth
