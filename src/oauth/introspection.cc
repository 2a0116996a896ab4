#include "oauth/introspection.h"

#include "base/secret.h"
#include "oauth/authority.h"
#include "oauth/client_auth.h"
#include "oauth/endings.h"
#include "oauth/form.h"
#include "oauth/issuance.h"
#include "oauth/liveness.h"
#include "oauth/own_token.h"

namespace behalf::oauth {
namespace {

struct FoundToken {
  std::shared_ptr<const Node> node;  // null: none of ours
  std::string_view reason;
};

// Whatever kind of token it is; the hint is not needed to find it (RFC 7009 §2.1).
struct TokenReference {
  std::optional<OwnToken> access_token;
  std::optional<Handle> refresh_token;
  std::string_view reason = "unknown_token";
};

TokenReference read_reference(Call& call, std::string_view token) {
  TokenReference reference;
  reference.refresh_token = parse_handle(kRefreshTokenPrefix, token);
  if (reference.refresh_token) return reference;
  auto node = recognise_own_token(call.services, token, call.now);
  if (node)
    reference.access_token = std::move(node).value();
  else
    reference.reason = node.reason();
  return reference;
}

FoundToken find(Call& call, const TokenReference& reference, store::Transaction& transaction) {
  if (reference.access_token) {
    auto node = transaction.find_node(reference.access_token->node);
    if (node == nullptr || !reference.access_token->proves(*node)) return {nullptr, "unknown_token"};
    return {std::move(node), {}};
  }
  if (!reference.refresh_token) return {nullptr, reference.reason};
  auto node = transaction.find_node(reference.refresh_token->id);
  const bool is_it =
      node != nullptr && node->kind == NodeKind::kRefreshToken &&
      constant_time_equal(node->secret_hash, call.services.keys.lookup_hash(reference.refresh_token->secret));
  if (!is_it) return {nullptr, "unknown_token"};
  return {std::move(node), {}};
}

void note(Call& call, const Node& node) {
  if (node.subject.kind == SubjectKind::kUser) call.audit.user = node.subject.id;
  if (const Actor* actor = node.chain.outermost()) call.audit.agent = actor->id;
  call.audit.chain = node.chain;
  call.audit.grant = node.grant.text();
  call.audit.lineage = node.root.text();
  call.audit.node = node.id.text();
}

http::Response introspection_answer(std::string body) {
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

// Made by functions: GCC 12 copies the bytes of an aggregate written inside co_await and then frees its
// strings twice.
OAuthError public_client() {
  return {ErrorCode::kInvalidClient, "client authentication failed", "public_client", {}};
}
OAuthError token_missing() { return {ErrorCode::kInvalidRequest, "token is required", "token_missing", {}}; }

Task<http::Response> introspect(Call& call) {
  auto form = read_form(call.request, {});
  if (!form) co_return co_await refuse_call(call, form.reason());
  auto client = authenticate_client(call, *form);
  const Challenge challenge = challenge_for(call.request);
  if (!client) co_return co_await refuse_call(call, client.reason(), challenge);
  if (client->registration().is_public()) {  // §2.1: the endpoint must not be open to guessing
    co_return co_await refuse_call(call, public_client(), challenge);
  }
  if (!form->has("token")) {
    co_return co_await refuse_call(call, token_missing());
  }
  const TokenReference reference = read_reference(call, form->get("token"));
  std::optional<OAuthError> refusal;
  std::shared_ptr<const Node> active;
  std::shared_ptr<const Resource> resource;
  auto pending = call.commit([&](store::Transaction& transaction) {
    refusal.reset();
    active.reset();
    if (auto confirmed = confirm_client(call, *client, transaction); !confirmed) {
      refusal = confirmed.reason();
      return call.deny(*refusal);
    }
    const FoundToken found = find(call, reference, transaction);
    std::string_view dead = found.reason;
    if (found.node != nullptr) {
      const Node& node = *found.node;
      note(call, node);
      // The resource that the token is addressed to, and nobody else (RFC 7662 §4): not who holds it, and no
      // resource has to do with a refresh token.
      const bool is_audience = node.kind == NodeKind::kAccessToken &&
                               !client->registration().resource.empty() &&
                               client->registration().resource == node.resource;
      dead = !is_audience ? "not_for_this_caller" : why_dead(transaction, node, call.now);
    }
    if (!dead.empty()) {
      call.audit.outcome = AuditOutcome::kDenied;
      call.audit.error = "inactive";
      call.audit.reason = dead;
      return;
    }
    active = found.node;
    resource = transaction.find_resource(active->resource);
    if (!active->scope.empty()) {
      const auto [left, refused] = what_stands(transaction, *active, resource.get());
      if (left.empty()) {
        active.reset();
        call.audit.outcome = AuditOutcome::kDenied;
        call.audit.error = "inactive";
        call.audit.reason = refused.empty() ? std::string_view("scope_withdrawn") : refused;
        return;
      }
      if (left != active->scope) {
        auto less = std::make_shared<Node>(*active);
        less->scope = left;
        active = std::move(less);
      }
    }
    call.allow();
  });
  co_await pending.durable();
  if (refusal) co_return error_response(*refusal, challenge);
  if (active == nullptr) co_return introspection_answer("{\"active\":false}");
  std::string body;
  json::ObjectWriter writer(body);
  writer.add_bool("active", true);
  writer.add("token_type", "Bearer");
  add_claims(writer, call.services, *active, resource.get());
  // Said whether or not anything was left out, so that it does not say how long the chain is (D-92).
  if (!active->chain.empty() && !shows_whole_chain(*active, resource.get())) {
    writer.add_bool("chain_complete", false);
  }
  writer.end();
  co_return introspection_answer(std::move(body));
}

Task<http::Response> revoke(Call& call) {
  auto form = read_form(call.request, {});
  if (!form) co_return co_await refuse_call(call, form.reason());
  auto client = authenticate_client(call, *form);
  const Challenge challenge = challenge_for(call.request);
  if (!client) co_return co_await refuse_call(call, client.reason(), challenge);
  if (!form->has("token")) {
    co_return co_await refuse_call(call, token_missing());
  }
  const TokenReference reference = read_reference(call, form->get("token"));
  std::optional<OAuthError> refusal;
  auto pending = call.commit([&](store::Transaction& transaction) {
    refusal.reset();
    if (auto confirmed = confirm_client(call, *client, transaction); !confirmed) {
      refusal = confirmed.reason();
      return call.deny(*refusal);
    }
    const FoundToken found = find(call, reference, transaction);
    if (found.node != nullptr) note(call, *found.node);
    if (found.node == nullptr || found.node->client != client->id()) {
      // Answered as if it had worked, and nothing is touched.
      call.audit.outcome = AuditOutcome::kDenied;
      call.audit.reason = found.node == nullptr ? found.reason : "token_of_other_client";
      return;
    }
    const bool is_refresh_token = found.node->kind == NodeKind::kRefreshToken;
    const size_t ended = is_refresh_token
                             ? end_family(call, transaction, *found.node, "revoked_by_client")
                             : end_lineage(call, transaction, found.node->id, "revoked_by_client");
    call.audit.details.set("ended", static_cast<int64_t>(ended));
    call.allow();
  });
  co_await pending.durable();
  if (refusal) co_return error_response(*refusal, challenge);
  http::Response response = http::text_response(200, "");
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

}  // namespace

Task<http::Response> introspection_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "introspect", introspect);
}

Task<http::Response> revocation_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "revoke", revoke);
}

}  // namespace behalf::oauth
