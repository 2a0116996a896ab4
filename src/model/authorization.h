// The front channel's stored things: the authorization request, which nothing the browser sends later can
// change (invariant I7), and the session of a signed-in person.
//
//   pushed ──> pending ──> completed
//     (PAR)      │  bound to one browser
//   parsed at /authorize directly ──> pending
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "model/ids.h"
#include "model/lineage.h"
#include "model/scope.h"

namespace behalf {

enum class ResponseMode { kQuery, kFormPost };

struct Prompt {
  bool none = false;
  bool login = false;
  bool consent = false;
  bool select_account = false;
};

struct AuthorizationRequest {
  RequestId id;
  std::string secret_hash;   // of the request_uri (PAR); empty for a request that came by the browser
  std::string browser_hash;  // of the browser's binding cookie; empty while only pushed
  ClientId client;
  int64_t client_epoch = 1;
  AgentId agent;  // requested_actor, or the client's own agent; empty: none
  bool agent_was_requested = false;
  std::string intent;  // intent_scope, where the agent is registered for it; empty: none
  std::string redirect_uri;
  ResponseMode response_mode = ResponseMode::kQuery;
  std::optional<std::string> state;
  std::string code_challenge;
  ScopeSet scopes;  // without offline_access
  bool offline = false;
  std::vector<ResourceId> resources;
  Prompt prompt;
  std::optional<Seconds> max_age;
  std::string acr_values;  // one of these (RFC 9470 §4), space-separated; empty: any will do
  std::string login_hint;
  std::string essential_acrs;  // of `claims`: one of these, space-separated; empty: any will do
  // Set on the way, by us: the sign-in that satisfied prompt and max_age for this request.
  UnixTime created_at;
  UnixTime expires_at;
  std::optional<UnixTime> completed_at;
};

struct Session {
  SessionId id;
  std::string secret_hash;
  UserId user;
  int64_t user_epoch = 1;
  SignIn sign_in;
  UnixTime created_at;
  UnixTime last_seen_at;
  UnixTime expires_at;
  std::optional<UnixTime> ended_at;
};

}  // namespace behalf
