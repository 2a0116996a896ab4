// Keys: import with every check, algorithm chosen by us, RFC 7638 thumbprints (RFC 7517, 7518, 8037).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace behalf::crypto {

enum class Algorithm { kES256, kEdDSA, kPS256, kRS256 };
std::string_view name_of(Algorithm algorithm);
std::optional<Algorithm> parse_algorithm(std::string_view name);  // exact; no others exist here

enum class KeyFault {
  kMalformed,    // not a JWK, or members of the wrong type
  kUnsupported,  // key type, curve or algorithm not offered
  kPrivate,      // private or symmetric members in a set that must be public
  kWrongUse,     // use/key_ops forbid verifying
  kWeak,         // RSA below 2048 or above 8192 bits, or an even/small exponent
  kInvalid,      // the point is not on the curve, and the like
};
std::string_view describe(KeyFault fault);

// A public key that may verify exactly one algorithm. Immutable, cheap to copy, thread-safe.
class VerifyingKey {
 public:
  // `jwk` is one JWK (RFC 7517 §4). RSA keys take the algorithm from `alg` (RS256 if absent).
  static Result<VerifyingKey, KeyFault> import(const json::Value& jwk);

  const std::string& key_id() const;      // "kid", or the thumbprint if it has none
  const std::string& thumbprint() const;  // RFC 7638, base64url SHA-256
  Algorithm algorithm() const;
  // True if `signature` (JWS form: r||s for ES256) is right for `message`. Never throws on bad input.
  bool verify(std::string_view message, std::string_view signature) const;

 private:
  friend class SigningKey;
  struct State;
  std::shared_ptr<const State> state_;
};

// A set of public keys (RFC 7517 §5), at most kMaxKeys; private members anywhere refuse the whole set.
inline constexpr size_t kMaxKeys = 32;
Result<std::vector<VerifyingKey>, KeyFault> import_key_set(const json::Value& jwks);

// A private key. Immutable, cheap to copy, thread-safe.
class SigningKey {
 public:
  static SigningKey generate(Algorithm algorithm);  // fresh; RSA has 2048 bits
  static Result<SigningKey, KeyFault> import(const json::Value& private_jwk);

  const std::string& key_id() const;  // the thumbprint of the public half unless the JWK names another
  Algorithm algorithm() const;
  std::string sign(std::string_view message) const;  // JWS form
  json::Value public_jwk() const;                    // kty, crv, x, ..., kid, use=sig, alg
  json::Value private_jwk() const;
  VerifyingKey verifying_key() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace behalf::crypto
