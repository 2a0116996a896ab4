// Keys from the RFCs and JWTs put together by hand, so that a test can bend exactly one thing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "crypto/jwk.h"
#include "crypto/jwt.h"

namespace behalf::crypto::testing {

inline constexpr int64_t kNow = 1'800'000'000;

// RFC 7515 §A.3.
inline constexpr std::string_view kEcX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
inline constexpr std::string_view kEcY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
inline constexpr std::string_view kEcD = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
// RFC 8037 §A.1.
inline constexpr std::string_view kEdX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
inline constexpr std::string_view kEdD = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
// RFC 7638 §3.1.
inline constexpr std::string_view kRsaN =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
    "BJECPebWKRXjBZCiFV4n3ok"
    "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
    "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
    "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
    "kEgU8a"
    "wapJzKnqDKgw";

inline json::Value ec_jwk() {
  return json::Value::Object{{"kty", "EC"}, {"crv", "P-256"}, {"x", kEcX}, {"y", kEcY}};
}
inline json::Value ed_jwk() { return json::Value::Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", kEdX}}; }
inline json::Value rsa_jwk() { return json::Value::Object{{"kty", "RSA"}, {"n", kRsaN}, {"e", "AQAB"}}; }

inline json::Value with(json::Value jwk, std::string_view name, json::Value value) {
  jwk.set(name, std::move(value));
  return jwk;
}
inline json::Value without(json::Value jwk, std::string_view name) {
  jwk.remove(name);
  return jwk;
}

// One key per algorithm for the whole run: RSA keys take a while to find.
inline const SigningKey& signing_key(Algorithm algorithm) {
  static const SigningKey keys[] = {
      SigningKey::generate(Algorithm::kES256), SigningKey::generate(Algorithm::kEdDSA),
      SigningKey::generate(Algorithm::kPS256), SigningKey::generate(Algorithm::kRS256)};
  return keys[static_cast<size_t>(algorithm)];
}
inline const SigningKey& es256() { return signing_key(Algorithm::kES256); }

inline constexpr Algorithm kAllAlgorithms[] = {Algorithm::kES256, Algorithm::kEdDSA, Algorithm::kPS256,
                                               Algorithm::kRS256};

inline std::string signing_input(std::string_view header, std::string_view claims) {
  return base64url(header) + "." + base64url(claims);
}

// Any two texts as header and claims, with a signature that is right.
inline std::string signed_jwt(const SigningKey& key, std::string_view header, std::string_view claims) {
  const std::string input = signing_input(header, claims);
  return input + "." + base64url(key.sign(input));
}

inline json::Value good_claims() {
  return json::Value::Object{{"iss", "https://issuer.example"},
                             {"sub", "user-1"},
                             {"aud", "https://api.example"},
                             {"jti", "a1b2"},
                             {"iat", kNow},
                             {"exp", kNow + 60}};
}

// What good_claims() satisfies; leeway 0, a life of at most 300 seconds.
struct Reader {
  std::vector<std::string_view> types = {"at+jwt"};
  std::vector<std::string> audiences = {"https://api.example"};
  Expectations expectations{.types = {},
                            .issuer = "https://issuer.example",
                            .subject = {},
                            .audiences = {},
                            .audience_rule = AudienceRule::kSole,
                            .leeway = Seconds{0},
                            .longest_life = Seconds{300},
                            .require_jti = true,
                            .kind = JwtKind::kToken};
  std::vector<VerifyingKey> keys = {signing_key(Algorithm::kES256).verifying_key()};
  int64_t now = kNow;

  // Empty: accepted.
  std::optional<JwtFault> read(std::string_view compact) const {
    const auto jwt = EncodedJwt::parse(compact);
    if (!jwt) return jwt.reason();
    Expectations expected = expectations;
    expected.types = types;
    expected.audiences = audiences;
    const auto verified = verify(*jwt, expected, keys, UnixTime::from_seconds(now));
    if (!verified) return verified.reason();
    return std::nullopt;
  }
  // The same for claims signed with our ES256 key and a header as sign_jwt writes it.
  std::optional<JwtFault> read_claims(const json::Value& claims) const {
    return read(sign_jwt(signing_key(Algorithm::kES256), "at+jwt", json::write(claims)));
  }
};

}  // namespace behalf::crypto::testing
