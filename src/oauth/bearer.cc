#include "oauth/bearer.h"

#include <algorithm>

#include "oauth/authority.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kMissing = "bearer_missing";

// Over all APIs, and apart from what the same address or client does at the token endpoint.
constexpr std::string_view kCounted = "bearer";

Refused<OAuthError> bad_token(std::string_view reason) {
  return refuse(ErrorCode::kInvalidToken, "the access token is not good", "bearer_" + std::string(reason));
}

bool is_bearer_scheme(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  return header.size() >= kScheme.size() &&
         std::equal(kScheme.begin(), kScheme.end(), header.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
         });
}

// b64token (RFC 6750 §2.1); what follows is ours to recognise.
bool is_token_text(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~+/=").find(c) != std::string_view::npos;
  });
}

Answer<std::string_view> read_header(const http::Request& request) {
  const auto query = http::Form::parse(request.query);
  if (!query) return refuse(ErrorCode::kInvalidRequest, "the query is not well-formed", "malformed_query");
  if (!query->all("access_token").empty()) {
    return refuse(ErrorCode::kInvalidRequest, "an access token belongs into the Authorization header",
                  "bearer_in_url");
  }
  const size_t headers = request.headers.count("Authorization");
  if (headers > 1) return refuse(ErrorCode::kInvalidRequest, "send one access token", "bearer_repeated");
  if (headers == 0 || !is_bearer_scheme(*request.headers.find("Authorization"))) {
    return refuse(ErrorCode::kInvalidToken, "an access token is needed here", kMissing);
  }
  const std::string_view token = std::string_view(*request.headers.find("Authorization")).substr(7);
  if (!is_token_text(token)) return bad_token("malformed");
  return token;
}

}  // namespace

Answer<BearerToken> read_bearer(Call& call) {
  const auto token = read_header(call.request);
  // What is not ours is counted by where it came from; what is, by itself. So a stranger at the same address
  // shuts out nobody, and one who goes on with a dead token does not fill the log.
  Limits& limits = call.services.limits;
  if (token) {
    auto own = recognise_own_token(call.services, *token, call.now);
    if (own) {
      if (const auto wait = limits.wait(Limits::Kind::kClient, {kCounted, own->node.text()}))
        return Refused{too_many_requests(*wait, "limit_bearer")};
      call.audit.node = own->node.text();
      return BearerToken(std::move(own).value());
    }
    if (const auto wait = limits.wait(Limits::Kind::kStranger, {kCounted, network_of(call.request.peer)}))
      return Refused{too_many_requests(*wait, "limit_bearer")};
    return bad_token(own.reason());
  }
  if (const auto wait = limits.wait(Limits::Kind::kStranger, {kCounted, network_of(call.request.peer)}))
    return Refused{too_many_requests(*wait, "limit_bearer")};
  return Refused{token.reason()};
}

Answer<ApiCaller> confirm_bearer(Call& call, const BearerToken& bearer, std::string_view scope,
                                 store::ReadTransaction& transaction) {
  const auto decide = [&]() -> Answer<ApiCaller> {
    const auto node = transaction.find_node(bearer.own_.node);
    if (node == nullptr || !bearer.own_.proves(*node)) return bad_token("unknown");
    call.audit.client = node->client.text();
    call.audit.lineage = node->root.text();
    if (node->subject.kind == SubjectKind::kAgent) call.audit.agent = node->subject.id;
    if (node->is_actor_token) {
      return refuse(ErrorCode::kInsufficientScope, "an actor token opens no API", "bearer_is_actor_token");
    }
    if (node->resource.text() != call.settings().issuer) return bad_token("audience");
    // Only software for itself: whatever a registry may have said once, no authority of a person opens this.
    if (node->subject.kind == SubjectKind::kUser || !node->parent.empty() || !node->grant.empty())
      return bad_token("not_its_own");
    const std::string_view dead = why_dead(transaction, *node, call.now);
    if (!dead.empty()) return bad_token(dead);
    auto client = transaction.find_client(node->client);
    if (!node->scope.contains(scope)) {
      return refuse(ErrorCode::kInsufficientScope, "this token has not the scope it takes", "bearer_scope");
    }
    if (!server_scope_ceiling(transaction, *client, node->subject).contains(scope)) {
      return refuse(ErrorCode::kInsufficientScope, "this client has not the scope any more",
                    "bearer_scope_withdrawn");
    }
    return ApiCaller{.client = std::move(client), .token = node};
  };
  call.audit.node = bearer.own_.node.text();
  auto caller = decide();
  if (!caller) call.deny(caller.reason());
  return caller;
}

http::Response bearer_response(Call& call, const OAuthError& error, std::string_view scope) {
  Limits& limits = call.services.limits;
  if (error.code == ErrorCode::kTooManyRequests) return error_response(error);
  if (call.audit.node.empty())
    limits.charge(Limits::Kind::kStranger, {kCounted, network_of(call.request.peer)});
  else
    limits.charge(Limits::Kind::kClient, {kCounted, call.audit.node});
  std::string challenge = "Bearer realm=\"behalf\"";
  http::Response response = error_response(error);
  if (error.reason == kMissing) {
    // §3.1: whoever sent nothing learns what to send and is told of no error.
    response.body = "{}";
  } else {
    challenge += ", error=\"" + std::string(name_of(error.code)) + "\", error_description=\"" +
                 error.description + "\"";
  }
  challenge += ", scope=\"" + std::string(scope) + "\"";
  response.headers.set("WWW-Authenticate", challenge);
  return response;
}

Task<http::Response> refuse_bearer(Call& call, OAuthError error, std::string_view scope) {
  if (error.reason == kMissing) {
    call.deny(error);
    call.audit.error.clear();  // the code that the caller saw: none
    co_await record(call);
  } else {
    co_await record_refusal(call, error);
  }
  co_return bearer_response(call, error, scope);
}

Task<http::Response> tell_bearer(
    Call& call, std::string_view scope,
    std::function<http::Response(store::ReadTransaction&, const ApiCaller&)> tell) {
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), scope);
  // A client that another server has suspended is asked about as it is now.
  co_await call.services.store.revocations().caught_up();
  std::optional<OAuthError> refusal;
  http::Response response;
  co_await call.services.store.read([&](store::ReadTransaction& transaction) {
    auto caller = confirm_bearer(call, *bearer, scope, transaction);
    if (caller)
      response = tell(transaction, *caller);
    else
      refusal = caller.reason();
  });
  if (refusal) co_return co_await refuse_bearer(call, *refusal, scope);
  co_return response;
}

}  // namespace behalf::oauth
