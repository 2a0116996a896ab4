// Raw JWS signatures (RFC 7518 §3, RFC 8037 §3.1) over keys whose checks are done: the part under jwk.h that
// knows contexts, paddings and encodings, and nothing of JSON. For the .cc files of this folder only.
//
// ES256, RS256 and PS256 are OpenSSL's; Ed25519 is libsodium's, which is 1.7 times faster and refuses
// small-order points and non-canonical scalars by itself.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "crypto/jwk.h"
#include "crypto/openssl.h"

namespace behalf::crypto {

inline constexpr size_t kP256Bytes = 32;
inline constexpr size_t kEd25519Bytes = 32;

// The uncompressed form 04 || x || y to a key; empty if that is no point of P-256 (RFC 7518 §6.2.1).
std::optional<Owner<EVP_PKEY>> p256_public_key(std::string_view x, std::string_view y);
// `modulus` and `exponent` are big-endian and already within our limits.
Owner<EVP_PKEY> rsa_public_key(std::string_view modulus, std::string_view exponent);

// True if the 32 bytes are a canonical encoding of a point of the prime-order subgroup.
bool is_ed25519_point(std::string_view bytes);

class SignatureVerifier {
 public:
  SignatureVerifier(Algorithm algorithm, Owner<EVP_PKEY> key);  // ES256, RS256, PS256
  explicit SignatureVerifier(std::string_view ed25519_point);

  Algorithm algorithm() const { return algorithm_; }
  // Never throws for what is in `message` and `signature`. Thread-safe.
  bool verify(std::string_view message, std::string_view signature) const;

 private:
  bool verify_digest(const Digest& digest, std::string_view encoded) const;

  Algorithm algorithm_;
  Owner<EVP_PKEY> key_;  // null for Ed25519
  size_t signature_bytes_;
  std::array<unsigned char, kEd25519Bytes> point_{};
  mutable IdleContexts<EVP_PKEY_CTX> idle_;
};

class Signer {
 public:
  Signer(Algorithm algorithm, Owner<EVP_PKEY> key);  // ES256, RS256, PS256
  explicit Signer(std::string_view ed25519_seed);
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;
  ~Signer();

  Algorithm algorithm() const { return algorithm_; }
  const EVP_PKEY* key() const { return key_.get(); }  // null for Ed25519
  std::string_view ed25519_seed() const;
  std::string_view ed25519_point() const;
  // Thread-safe.
  std::string sign(std::string_view message) const;

 private:
  Algorithm algorithm_;
  Owner<EVP_PKEY> key_;
  std::array<unsigned char, 2 * kEd25519Bytes> seed_and_point_{};
  mutable IdleContexts<EVP_PKEY_CTX> idle_;
};

}  // namespace behalf::crypto
