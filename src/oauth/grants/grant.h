// A grant type is a row, not a class: its name, who may use it, and one function. The token endpoint owns
// every shared step (parsing, client authentication, audit, answer), so that a grant type cannot forget one.
#pragma once

#include <functional>
#include <string_view>

#include "http/message.h"
#include "oauth/call.h"
#include "oauth/client_auth.h"
#include "oauth/error.h"
#include "oauth/issuance.h"
#include "store/store.h"

namespace behalf::oauth {

// One request at the token endpoint, with what must be drawn before the transaction.
struct TokenRequest {
  const http::Form& form;
  const AuthenticatedClient& client;
  NodeId access_token_id;
  NodeId refresh_token_id;
  std::string refresh_secret;
  bool mixes_drafts = false;  // names of two versions of the draft; judged with the agent's proof (D-44)
};

// Runs inside the transaction: looks up, decides, changes state. May run more than once; draws nothing, waits
// for nothing.
using Decision = std::function<Answer<Issuance>(store::Transaction&)>;

enum class PublicClients { kRefused, kAllowed };

struct GrantType {
  std::string_view name;  // the value of grant_type
  PublicClients public_clients;
  // Outside the transaction: reads the parameters and proves what can be proved by computing. `request`
  // outlives the decision.
  Answer<Decision> (*prepare)(Call& call, const TokenRequest& request);
};

extern const GrantType kAuthorizationCode;  // grants/authorization_code.cc
extern const GrantType kRefreshToken;       // grants/refresh_token.cc
extern const GrantType kClientCredentials;  // grants/client_credentials.cc
extern const GrantType kTokenExchange;      // grants/token_exchange.cc
extern const GrantType kJwtBearer;          // grants/jwt_bearer.cc

}  // namespace behalf::oauth
