// Who calls one of this server's own APIs (RFC 6750): an access token of ours, for this server itself, with
// the API's scope, in the Authorization header and nowhere else.
//
// Two halves, like client authentication: `read_bearer` recognises the token without a transaction,
// `confirm_bearer` inside one sees that it still stands and opens this API. `refuse_bearer` answers and
// records.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "oauth/call.h"
#include "oauth/own_token.h"

namespace behalf::oauth {

class BearerToken {
 private:
  friend Answer<BearerToken> read_bearer(Call&);
  friend struct ApiCaller;
  friend Answer<struct ApiCaller> confirm_bearer(Call&, const BearerToken&, std::string_view,
                                                 store::ReadTransaction&);
  explicit BearerToken(OwnToken own) : own_(std::move(own)) {}
  OwnToken own_;
};

struct ApiCaller {
  std::shared_ptr<const Client> client;
  std::shared_ptr<const Node> token;
};

Answer<BearerToken> read_bearer(Call& call);

// `scope` is what this API asks for (model/scope.h). Notes in the audit record who called; a refusal is
// denied there.
Answer<ApiCaller> confirm_bearer(Call& call, const BearerToken& bearer, std::string_view scope,
                                 store::ReadTransaction& transaction);

// 401 or 403 with the challenge of RFC 6750 §3. For a refusal by confirm_bearer, which commit() has recorded.
http::Response bearer_response(Call& call, const OAuthError& error, std::string_view scope);
// The same for a refusal that nothing has recorded yet.
Task<http::Response> refuse_bearer(Call& call, OAuthError error, std::string_view scope);

// For an API that only tells and changes nothing: looks at a snapshot, and writes to the audit log only who
// was refused. `tell` runs inside the snapshot.
Task<http::Response> tell_bearer(
    Call& call, std::string_view scope,
    std::function<http::Response(store::ReadTransaction&, const ApiCaller&)> tell);

}  // namespace behalf::oauth
