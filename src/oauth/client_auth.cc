#include "oauth/client_auth.h"

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/jwt.h"

namespace behalf::oauth {

// What the request says about its client; nothing of it is proved.
struct PresentedClient {
  std::string client_id;
  std::optional<Secret> secret;
  bool used_basic = false;
  std::string_view assertion;
};

namespace {

constexpr std::string_view kJwtBearerAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr std::string_view kAssertionTypes[] = {"", "jwt", "client-authentication+jwt"};

Refused<OAuthError> not_authenticated(std::string_view reason) {
  return refuse(ErrorCode::kInvalidClient, "client authentication failed", reason);
}

// RFC 6749 §2.3.1: "Basic" and base64 of form-encoded id ":" form-encoded secret.
std::optional<PresentedClient> read_basic(std::string_view header) {
  constexpr std::string_view kScheme = "Basic ";
  if (header.size() < kScheme.size()) return std::nullopt;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if ((header[i] | 0x20) != (kScheme[i] | 0x20)) return std::nullopt;
  }
  const auto decoded = decode_base64(header.substr(kScheme.size()));
  if (!decoded) return std::nullopt;
  const size_t colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto id = http::percent_decode(std::string_view(*decoded).substr(0, colon), http::Plus::kSpace);
  const auto secret = http::percent_decode(std::string_view(*decoded).substr(colon + 1), http::Plus::kSpace);
  if (!id || !secret || id->empty()) return std::nullopt;
  return PresentedClient{.client_id = *id, .secret = Secret(*secret), .used_basic = true, .assertion = {}};
}

Answer<PresentedClient> read_presented(const http::Request& request, const http::Form& form) {
  PresentedClient presented;
  const bool has_assertion = form.has("client_assertion") || form.has("client_assertion_type");
  const bool has_body_secret = form.has("client_secret");
  const size_t headers = request.headers.count("Authorization");
  if (headers + (has_assertion ? 1U : 0U) + (has_body_secret ? 1U : 0U) > 1) {
    // RFC 6749 §2.3: not more than one method in a request.
    return refuse(ErrorCode::kInvalidRequest, "more than one way of client authentication is used",
                  "two_methods");
  }
  if (headers == 1) {
    auto basic = read_basic(*request.headers.find("Authorization"));
    if (!basic) return not_authenticated("malformed_basic");
    presented = std::move(*basic);
  }
  if (has_body_secret) presented.secret = Secret(std::string(form.get("client_secret")));
  if (has_assertion) {
    if (form.get("client_assertion_type") != kJwtBearerAssertion) return not_authenticated("assertion_type");
    presented.assertion = form.get("client_assertion");
    const auto jwt = crypto::EncodedJwt::parse(presented.assertion);
    if (!jwt) return not_authenticated("assertion_malformed");
    const std::string* subject = jwt->unproved_claims().find_string("sub");
    if (subject == nullptr) return not_authenticated("assertion_without_sub");
    presented.client_id = *subject;
  }
  if (form.has("client_id")) {
    if (!presented.client_id.empty() && presented.client_id != form.get("client_id")) {
      return not_authenticated("client_id_differs");
    }
    presented.client_id = form.get("client_id");
  }
  if (presented.client_id.empty()) return not_authenticated("no_client");
  return presented;
}

}  // namespace

Challenge challenge_for(const http::Request& request) {
  return request.headers.find("Authorization") != nullptr ? Challenge::kBasic : Challenge::kNone;
}

Answer<AuthenticatedClient> prove_client(const Call& call, const PresentedClient& presented) {
  AuthenticatedClient proved;
  proved.client_ = call.services.store.registry().find_client(presented.client_id);

  if (presented.secret) {
    // The same work whether the client exists or not.
    const std::string hash = call.services.keys.lookup_hash(presented.secret->reveal());
    const std::string nothing(hash.size(), '.');
    const Client* client = proved.client_.get();
    const std::string& current =
        client == nullptr || client->secret_hash.empty() ? nothing : client->secret_hash;
    const bool previous_counts = client != nullptr && !client->previous_secret_hash.empty() &&
                                 call.now < client->previous_secret_until;
    const std::string& previous = previous_counts ? client->previous_secret_hash : nothing;
    const bool is_current = constant_time_equal(hash, current);
    const bool is_previous = constant_time_equal(hash, previous);
    if (client == nullptr) return not_authenticated("unknown_client");
    const auto wanted =
        presented.used_basic ? ClientAuthMethod::kClientSecretBasic : ClientAuthMethod::kClientSecretPost;
    if (!is_current && !is_previous) return not_authenticated("wrong_secret");
    if (client->auth_method != wanted) return not_authenticated("other_method_registered");
  } else if (!presented.assertion.empty()) {
    if (proved.client_ == nullptr) return not_authenticated("unknown_client");
    const Client& client = *proved.client_;
    if (client.auth_method != ClientAuthMethod::kPrivateKeyJwt)
      return not_authenticated("other_method_registered");
    const auto jwt = crypto::EncodedJwt::parse(presented.assertion);
    if (!jwt) return not_authenticated("assertion_malformed");
    const auto keys = call.services.verifying_keys.get(client.id.text(), client.version, client.jwks);
    // RFC 10070: the issuer is the sole audience, so that it cannot be meant for anyone else as well.
    // STRICTER: as a string, for a list is what assertions for several servers look like (FAPI 2 refuses it
    // too).
    const std::string audience[] = {call.settings().issuer};
    const auto verified = crypto::verify(*jwt,
                                         {.types = kAssertionTypes,
                                          .issuer = client.id.text(),
                                          .subject = client.id.text(),
                                          .audiences = audience,
                                          .audience_rule = crypto::AudienceRule::kSoleText,
                                          .leeway = call.settings().clock_leeway,
                                          .longest_life = Seconds{300},
                                          .require_jti = true},
                                         *keys, call.now);
    if (!verified) return not_authenticated("assertion: " + std::string(describe(verified.reason())));
    proved.assertion_ = presented.assertion;
    proved.assertion_jti_ = std::string(verified->jti());
    proved.assertion_expires_at_ = verified->expires_at();
  } else {
    if (proved.client_ == nullptr) return not_authenticated("unknown_client");
    if (!proved.client_->is_public()) return not_authenticated("no_credentials");
  }
  if (!proved.client_->is_active()) return not_authenticated("client_inactive");
  return proved;
}

Answer<AuthenticatedClient> authenticate_client(Call& call, const http::Form& form) {
  const PresentedClient presented = TRY(read_presented(call.request, form));
  if (is_registry_id(presented.client_id)) call.audit.client = presented.client_id;
  // Before any signature is looked at. Counted by address as well: a stranger's failures are not the
  // client's.
  Limits& limits = call.services.limits;
  const std::string network = network_of(call.request.peer);
  if (const auto wait = limits.wait(Limits::Kind::kStranger, {presented.client_id, network}))
    return Refused{too_many_requests(*wait, "limit_client_authentication")};
  auto proved = prove_client(call, presented);
  if (!proved) limits.charge(Limits::Kind::kStranger, {presented.client_id, network});
  return proved;
}

Answer<Fine> confirm_client(Call& call, const AuthenticatedClient& client, store::Transaction& transaction) {
  const auto current = transaction.find_client(client.id());
  if (current == nullptr || !current->is_active()) return not_authenticated("client_inactive");
  if (current->version != client.client_->version) Call::restart();
  if (client.assertion_jti_) {
    const UnixTime until = client.assertion_expires_at_ + call.settings().clock_leeway;
    if (!transaction.remember_jti(client.id().text(), *client.assertion_jti_, until)) {
      return not_authenticated("assertion_replayed");
    }
  }
  return Fine{};
}

}  // namespace behalf::oauth
