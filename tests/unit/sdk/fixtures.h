// An issuer of one key that signs whatever a test wants to bend.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "behalf/keys.h"
#include "behalf/verifier.h"
#include "crypto/jwk.h"
#include "crypto/jwt.h"
#include "unit/crypto/fixtures.h"

namespace behalf::sdk::testing {

using crypto::testing::kNow;
using crypto::testing::with;
using crypto::testing::without;

inline constexpr Milliseconds kNowMs = kNow * 1000;
inline constexpr std::string_view kIssuer = "https://as.example";
inline constexpr std::string_view kApi = "https://api.example";

inline const crypto::SigningKey& issuer_key() {
  return crypto::testing::signing_key(crypto::Algorithm::kES256);
}

inline std::string jwks_of(const std::vector<crypto::SigningKey>& keys) {
  json::Value::Array list;
  for (const crypto::SigningKey& key : keys) list.push_back(key.public_jwk());
  return json::write(json::Value::Object{{"keys", std::move(list)}});
}

inline json::Value act(std::string_view subject, json::Value inner = json::Value()) {
  json::Value::Object hop{
      {"iss", std::string(kIssuer)}, {"sub", std::string(subject)}, {"sub_profile", "ai_agent"}};
  if (!inner.is_null()) hop.push_back({"act", std::move(inner)});
  return hop;
}

// alice, through the app, by the mail agent that a planner called.
inline json::Value delegated_claims() {
  return json::Value::Object{{"iss", std::string(kIssuer)},
                             {"sub", "alice"},
                             {"aud", std::string(kApi)},
                             {"client_id", "app"},
                             {"scope", "mail.read mail.send"},
                             {"iat", kNow},
                             {"exp", kNow + 600},
                             {"jti", "token-1"},
                             {"sub_profile", "user"},
                             {"grant_id", "grant-1"},
                             {"act", act("mail-agent", act("planner"))}};
}

inline std::string sign(const json::Value& claims, std::string_view type = "at+jwt",
                        const crypto::SigningKey& key = issuer_key()) {
  return crypto::sign_jwt(key, type, json::write(claims));
}

inline VerifierOptions api_options() {
  VerifierOptions options;
  options.issuer = kIssuer;
  options.audiences = {std::string(kApi)};
  return options;
}

}  // namespace behalf::sdk::testing
