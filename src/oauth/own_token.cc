#include "oauth/own_token.h"

#include "base/secret.h"
#include "crypto/jwt.h"
#include "oauth/issuance.h"

namespace behalf::oauth {

bool OwnToken::proves(const Node& found) const {
  if (found.kind != NodeKind::kAccessToken) return false;
  return secret_hash.empty() || constant_time_equal(secret_hash, found.secret_hash);
}

Result<crypto::VerifiedJwt, crypto::JwtFault> verify_own_jwt(const crypto::EncodedJwt& jwt,
                                                             const std::string& issuer,
                                                             std::span<const crypto::VerifyingKey> keys,
                                                             UnixTime now) {
  constexpr std::string_view kTypes[] = {"at+jwt"};
  return crypto::verify(jwt,
                        {.types = kTypes,
                         .issuer = issuer,
                         .subject = {},
                         .audiences = {},
                         .audience_rule = crypto::AudienceRule::kIgnore,
                         .leeway = Seconds{0},
                         .longest_life = Seconds{0},
                         .require_jti = true},
                        keys, crypto::while_unexpired(jwt.unproved_claims(), now));
}

Result<OwnToken, std::string_view> recognise_own_token(Services& services, std::string_view token,
                                                       UnixTime now) {
  if (token.size() > crypto::kMaxJwtBytes) return Refused<std::string_view>{"too_large"};
  const auto handle = parse_handle(kAccessTokenPrefix, token);
  if (auto node = services.token_cache.find(token)) {
    return OwnToken{.node = std::move(*node), .is_opaque = handle.has_value(), .secret_hash = {}};
  }
  if (handle) {
    return OwnToken{
        .node = handle->id, .is_opaque = true, .secret_hash = services.keys.lookup_hash(handle->secret)};
  }
  const auto jwt = crypto::EncodedJwt::parse(token);
  if (!jwt) return Refused<std::string_view>{"not_a_jwt"};
  const auto verified = verify_own_jwt(*jwt, services.settings.issuer, services.keys.verifying_keys(), now);
  if (!verified) return Refused<std::string_view>{describe(verified.reason())};
  if (!is_ordered_id(verified->jti())) return Refused<std::string_view>{"not_ours"};
  NodeId node{std::string(verified->jti())};
  services.token_cache.remember(token, node);
  return OwnToken{.node = std::move(node), .is_opaque = false, .secret_hash = {}};
}

}  // namespace behalf::oauth
