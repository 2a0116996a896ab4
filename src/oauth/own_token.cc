#include "oauth/own_token.h"

#include "crypto/jwt.h"

namespace behalf::oauth {

Result<NodeId, std::string_view> recognise_own_token(Services& services, std::string_view token,
                                                     UnixTime now) {
  if (token.size() > crypto::kMaxJwtBytes) return Refused<std::string_view>{"too_large"};
  if (auto node = services.token_cache.find(token)) return std::move(*node);
  const auto jwt = crypto::EncodedJwt::parse(token);
  if (!jwt) return Refused<std::string_view>{"not_a_jwt"};
  constexpr std::string_view kTypes[] = {"at+jwt"};
  // The store knows when it expires; a token a moment over the edge is refused there, with everything else.
  const auto verified = crypto::verify(*jwt,
                                       {.types = kTypes,
                                        .issuer = services.settings.issuer,
                                        .subject = {},
                                        .audiences = {},
                                        .audience_rule = crypto::AudienceRule::kIgnore,
                                        .leeway = Seconds{0},
                                        .longest_life = Seconds{0},
                                        .require_jti = true},
                                       services.keys.verifying_keys(), now);
  if (!verified) return Refused<std::string_view>{describe(verified.reason())};
  if (!is_ordered_id(verified->jti())) return Refused<std::string_view>{"not_ours"};
  NodeId node{std::string(verified->jti())};
  services.token_cache.remember(token, node);
  return node;
}

}  // namespace behalf::oauth
