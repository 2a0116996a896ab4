#include "oauth/own_token.h"

#include "base/secret.h"
#include "crypto/jwt.h"
#include "oauth/issuance.h"

namespace behalf::oauth {

bool OwnToken::proves(const Node& found) const {
  if (found.kind != NodeKind::kAccessToken) return false;
  return secret_hash.empty() || constant_time_equal(secret_hash, found.secret_hash);
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
  constexpr std::string_view kTypes[] = {"at+jwt"};
  // Whether it has expired is asked of the store, with everything else, and not here: one that has is found
  // like one that has not, or revoking it would depend on what is remembered. So it is judged in its last
  // second.
  const auto expires = jwt->unproved_claims().find_integer("exp");
  const UnixTime at = expires && *expires <= now.seconds() ? UnixTime::from_seconds(*expires - 1) : now;
  const auto verified = crypto::verify(*jwt,
                                       {.types = kTypes,
                                        .issuer = services.settings.issuer,
                                        .subject = {},
                                        .audiences = {},
                                        .audience_rule = crypto::AudienceRule::kIgnore,
                                        .leeway = Seconds{0},
                                        .longest_life = Seconds{0},
                                        .require_jti = true},
                                       services.keys.verifying_keys(), at);
  if (!verified) return Refused<std::string_view>{describe(verified.reason())};
  if (!is_ordered_id(verified->jti())) return Refused<std::string_view>{"not_ours"};
  NodeId node{std::string(verified->jti())};
  services.token_cache.remember(token, node);
  return OwnToken{.node = std::move(node), .is_opaque = false, .secret_hash = {}};
}

}  // namespace behalf::oauth
