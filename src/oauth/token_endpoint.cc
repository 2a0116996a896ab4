#include "oauth/token_endpoint.h"

#include <array>

#include "oauth/draft00.h"
#include "oauth/form.h"
#include "oauth/status_list.h"

namespace behalf::oauth {
namespace {

constexpr std::array<const GrantType*, 5> kGrantTypes = {&kAuthorizationCode, &kRefreshToken,
                                                         &kClientCredentials, &kTokenExchange, &kJwtBearer};

Answer<const GrantType*> find_grant_type(std::string_view name) {
  if (name.empty()) return refuse(ErrorCode::kInvalidRequest, "grant_type is required", "grant_type_missing");
  for (const GrantType* type : kGrantTypes) {
    if (type->name == name) return type;
  }
  return refuse(ErrorCode::kUnsupportedGrantType, "this grant_type is not offered", "grant_type_unknown");
}

// "token.authorization_code", "token.token-exchange": the short name, as audit events and metrics say it.
std::string event_of(const GrantType& type) {
  const size_t colon = type.name.rfind(':');
  return "token." + std::string(colon == std::string_view::npos ? type.name : type.name.substr(colon + 1));
}

Answer<Fine> check_use(const GrantType& type, const Client& client) {
  if (client.is_public() && type.public_clients == PublicClients::kRefused) {
    return refuse(ErrorCode::kUnauthorizedClient, "a public client cannot use this grant_type",
                  "public_client");
  }
  if (!client.may_use(type.name)) {
    return refuse(ErrorCode::kUnauthorizedClient, "this client is not registered for this grant_type",
                  "grant_type_not_registered");
  }
  return Fine{};
}

// An actor token has no resource and is always a JWT (D-04).
bool is_opaque(const Issuance& issuance) {
  return issuance.resource != nullptr && issuance.resource->is_opaque();
}

// D-83: what Microsoft's libraries read of a refusal besides the error itself.
void add_correlation(const Call& call, OAuthError& refusal) {
  const std::string sent = correlation_id(call.request);
  refusal.extra += ",\"correlation_id\":";
  json::append_string(refusal.extra, sent.empty() ? call.audit.request_id : sent);
}

// How often this client was refused of late. Whoever claims a public client's name is counted by his address.
class FailureCount {
 public:
  FailureCount(const Call& call, const AuthenticatedClient& client)
      : limits_(call.services.limits),
        client_(client.id().text()),
        network_(client.registration().is_public() ? network_of(call.request.peer) : std::string{}) {}
  std::optional<Seconds> wait() const { return limits_.wait(Limits::Kind::kClient, {client_, network_}); }
  void charge() const { limits_.charge(Limits::Kind::kClient, {client_, network_}); }

 private:
  Limits& limits_;
  std::string client_;
  std::string network_;
};

Task<http::Response> attempt(Call& call) {
  auto form = read_form(call.request, {"resource", "audience"});
  if (!form) co_return co_await refuse_call(call, form.reason());
  // The client first: a stranger learns nothing, not even what is offered.
  auto client = authenticate_client(call, *form);
  const Challenge challenge = challenge_for(call.request);
  if (!client) co_return co_await refuse_call(call, client.reason(), challenge);
  const FailureCount failures(call, *client);
  if (const auto wait = failures.wait())
    co_return co_await refuse_call(call, too_many_requests(*wait, "limit_failures"), challenge);
  const CurrentNames names = token_request_in_current_names(call.settings(), std::move(*form));
  if (names.is_draft00) call.audit.details.set("draft", "00");
  auto type = find_grant_type(names.form.get("grant_type"));
  if (type) call.audit.event = event_of(**type);
  const bool is_microsoft = type && *type == &kJwtBearer;

  TokenRequest request{.form = names.form,
                       .client = *client,
                       .access_token_id = NodeId(call.new_id()),
                       .refresh_token_id = NodeId(call.new_id()),
                       .refresh_secret = make_secret_text(call.services.random),
                       .mixes_drafts = names.mixed};
  Answer<Decision> decision = refuse(ErrorCode::kUnsupportedGrantType, "", "");
  if (!type) {
    decision = std::move(type).refused();
  } else if (auto use = check_use(**type, client->registration()); !use) {
    decision = std::move(use).refused();
  } else {
    decision = (*type)->prepare(call, request);
  }

  const std::string opaque_secret = make_secret_text(call.services.random);  // where the resource wants it
  Answer<Issuance> issuance = refuse(ErrorCode::kServerError, "", "undecided");
  std::shared_ptr<const Node> node;  // of the access token
  auto pending = call.commit([&](store::Transaction& transaction) {
    // Even a refusal spends the client's assertion: it has been seen.
    if (auto confirmed = confirm_client(call, *client, transaction); !confirmed) {
      issuance = std::move(confirmed).refused();
    } else if (!decision) {
      issuance = Refused{decision.reason()};
    } else {
      issuance = (*decision)(transaction);
    }
    if (issuance && is_opaque(*issuance))
      issuance->access_token.secret_hash = call.services.keys.lookup_hash(opaque_secret);
    else if (issuance && issuance->resource != nullptr && issuance->resource->status_list)
      issuance->access_token.status_place =
          scatter_status_place(call.services.keys, transaction.take_status_place());
    if (issuance)
      node = record_issuance(call, transaction, *issuance);
    else
      call.deny(issuance.reason());
  });
  co_await pending.decided();
  // Signed while the commit is on its way to the disk; the answer leaves after both.
  std::string access_token;
  if (issuance) {
    access_token = is_opaque(*issuance) ? write_handle(kAccessTokenPrefix, {node->id, opaque_secret})
                                        : sign_access_token(call.services, *node, issuance->resource.get());
  }
  co_await pending.durable();
  if (!issuance) {
    failures.charge();
    OAuthError refusal = issuance.reason();
    if (is_microsoft) add_correlation(call, refusal);
    co_return error_response(refusal, challenge);
  }
  co_return token_response(call, *issuance, *node, access_token);
}

}  // namespace

std::span<const GrantType* const> grant_types() { return kGrantTypes; }

Task<http::Response> token_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "token", attempt);
}

}  // namespace behalf::oauth
