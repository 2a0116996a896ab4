// An EVP_PKEY_CTX may be used for any number of signatures with the same parameters (EVP_PKEY_sign(3)), so
// each key keeps a few prepared ones: nothing is fetched, parsed or set up per signature, only the digest is
// computed outside.
#include "crypto/signature.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstring>

#include "crypto/hash.h"
#include "crypto/sodium.h"

namespace behalf::crypto {
namespace {

constexpr size_t kEs256Bytes = 2 * kP256Bytes;

// SEQUENCE { INTEGER r, INTEGER s } with both at their longest: 2 + 2 * (2 + 33) bytes.
constexpr size_t kMostDerBytes = 72;

// The order of P-256 (SEC 2 §2.4.2).
constexpr std::array<unsigned char, kP256Bytes> kOrder = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

// 1 <= scalar < order. Signatures are public, so comparing them need not take constant time.
bool is_p256_scalar(std::string_view scalar) {
  const bool is_zero = std::all_of(scalar.begin(), scalar.end(), [](char byte) { return byte == 0; });
  return !is_zero && std::memcmp(scalar.data(), kOrder.data(), kOrder.size()) < 0;
}

void append_der_integer(std::string& der, std::string_view scalar) {
  while (scalar.size() > 1 && scalar.front() == 0) scalar.remove_prefix(1);
  const bool looks_negative = (static_cast<unsigned char>(scalar.front()) & 0x80) != 0;
  der.push_back(2);
  der.push_back(static_cast<char>(scalar.size() + (looks_negative ? 1 : 0)));
  if (looks_negative) der.push_back(0);
  der += scalar;
}

// r || s, both in range, to what OpenSSL reads.
std::string der_from_jws(std::string_view signature) {
  std::string integers;
  integers.reserve(kMostDerBytes);
  append_der_integer(integers, signature.substr(0, kP256Bytes));
  append_der_integer(integers, signature.substr(kP256Bytes));
  return std::string{0x30, static_cast<char>(integers.size())} + integers;
}

// Reads one INTEGER of OpenSSL's own making into 32 bytes; moves `der` behind it.
void take_der_integer(std::string_view& der, char* out) {
  if (der.size() < 2 || der[0] != 2) throw CryptoFault("ECDSA: an unreadable signature was made");
  std::string_view integer = der.substr(2, static_cast<unsigned char>(der[1]));
  der.remove_prefix(2 + integer.size());
  while (integer.size() > kP256Bytes && integer.front() == 0) integer.remove_prefix(1);
  if (integer.empty() || integer.size() > kP256Bytes)
    throw CryptoFault("ECDSA: an overlong signature was made");
  std::memcpy(out + (kP256Bytes - integer.size()), integer.data(), integer.size());
}

std::string jws_from_der(std::string_view der) {
  std::string signature(kEs256Bytes, '\0');
  if (der.size() < 2) throw CryptoFault("ECDSA: no signature was made");
  der.remove_prefix(2);
  take_der_integer(der, signature.data());
  take_der_integer(der, signature.data() + kP256Bytes);
  return signature;
}

void set_parameters(EVP_PKEY_CTX* context, Algorithm algorithm) {
  ensure(EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()), "signature digest");
  switch (algorithm) {
    case Algorithm::kES256:
    case Algorithm::kEdDSA:
      return;
    case Algorithm::kRS256:
      ensure(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING), "PKCS #1 padding");
      return;
    case Algorithm::kPS256:
      // RFC 7518 §3.5: the salt is as long as the digest, MGF1 uses the same digest (OpenSSL's default).
      ensure(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING), "PSS padding");
      ensure(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST), "PSS salt");
      return;
  }
}

using Prepare = int (*)(EVP_PKEY_CTX*);

Owner<EVP_PKEY_CTX> take_context(IdleContexts<EVP_PKEY_CTX>& idle, EVP_PKEY* key, Algorithm algorithm,
                                 Prepare prepare) {
  if (Owner<EVP_PKEY_CTX> context = idle.take()) return context;
  Owner<EVP_PKEY_CTX> context = own(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr), "signature context");
  ensure(prepare(context.get()), "signature context");
  set_parameters(context.get(), algorithm);
  return context;
}

size_t signature_size(const EVP_PKEY* key, Algorithm algorithm) {
  return algorithm == Algorithm::kES256 ? kEs256Bytes : static_cast<size_t>(EVP_PKEY_get_size(key));
}

Owner<BIGNUM> number(std::string_view bytes) {
  return own(BN_bin2bn(as_bytes(bytes).data(), static_cast<int>(bytes.size()), nullptr), "number");
}

}  // namespace

std::optional<Owner<EVP_PKEY>> p256_public_key(std::string_view x, std::string_view y) {
  std::string point = "\x04";
  point.append(x).append(y);
  char group[] = "P-256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  const Owner<EVP_PKEY_CTX> context = own(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), "EC");
  ensure(EVP_PKEY_fromdata_init(context.get()), "EC");
  EVP_PKEY* imported = nullptr;
  const bool accepted = EVP_PKEY_fromdata(context.get(), &imported, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
  Owner<EVP_PKEY> key(imported);
  if (!accepted || key == nullptr) {
    drop_errors();
    return std::nullopt;
  }
  // The quick check leaves out the multiplication by the group order, which says nothing new on a curve of
  // cofactor one: every point on it but infinity, which has no such encoding, is of that order.
  const Owner<EVP_PKEY_CTX> check = own(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr), "EC");
  if (EVP_PKEY_public_check_quick(check.get()) != 1) {
    drop_errors();
    return std::nullopt;
  }
  return key;
}

Owner<EVP_PKEY> rsa_public_key(std::string_view modulus, std::string_view exponent) {
  const Owner<BIGNUM> n = number(modulus);
  const Owner<BIGNUM> e = number(exponent);
  const Owner<OSSL_PARAM_BLD> builder = own(OSSL_PARAM_BLD_new(), "RSA");
  ensure(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()), "RSA");
  ensure(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()), "RSA");
  const Owner<OSSL_PARAM> parameters = own(OSSL_PARAM_BLD_to_param(builder.get()), "RSA");
  const Owner<EVP_PKEY_CTX> context = own(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), "RSA");
  ensure(EVP_PKEY_fromdata_init(context.get()), "RSA");
  EVP_PKEY* key = nullptr;
  ensure(EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()), "RSA");
  return own(key, "RSA");
}

bool is_ed25519_point(std::string_view bytes) {
  ensure_sodium();
  return bytes.size() == kEd25519Bytes && crypto_core_ed25519_is_valid_point(as_bytes(bytes).data()) == 1;
}

SignatureVerifier::SignatureVerifier(Algorithm algorithm, Owner<EVP_PKEY> key)
    : algorithm_(algorithm), key_(std::move(key)), signature_bytes_(signature_size(key_.get(), algorithm)) {}

SignatureVerifier::SignatureVerifier(std::string_view ed25519_point)
    : algorithm_(Algorithm::kEdDSA), signature_bytes_(crypto_sign_BYTES) {
  std::memcpy(point_.data(), ed25519_point.data(), point_.size());
}

bool SignatureVerifier::verify(std::string_view message, std::string_view signature) const {
  if (signature.size() != signature_bytes_) return false;
  switch (algorithm_) {
    case Algorithm::kEdDSA:
      ensure_sodium();
      return crypto_sign_verify_detached(as_bytes(signature).data(), as_bytes(message).data(), message.size(),
                                         point_.data()) == 0;
    case Algorithm::kES256:
      if (!is_p256_scalar(signature.substr(0, kP256Bytes))) return false;
      if (!is_p256_scalar(signature.substr(kP256Bytes))) return false;
      return verify_digest(sha256(message), der_from_jws(signature));
    case Algorithm::kPS256:
    case Algorithm::kRS256:
      return verify_digest(sha256(message), signature);
  }
  return false;
}

bool SignatureVerifier::verify_digest(const Digest& digest, std::string_view encoded) const {
  Owner<EVP_PKEY_CTX> context = take_context(idle_, key_.get(), algorithm_, EVP_PKEY_verify_init);
  const auto bytes = as_bytes(encoded);
  const bool is_right =
      EVP_PKEY_verify(context.get(), bytes.data(), bytes.size(), digest.data(), digest.size()) == 1;
  if (!is_right) drop_errors();
  idle_.give_back(std::move(context));
  return is_right;
}

Signer::Signer(Algorithm algorithm, Owner<EVP_PKEY> key) : algorithm_(algorithm), key_(std::move(key)) {}

Signer::Signer(std::string_view ed25519_seed) : algorithm_(Algorithm::kEdDSA) {
  ensure_sodium();
  std::array<unsigned char, kEd25519Bytes> point;
  if (ed25519_seed.size() != crypto_sign_SEEDBYTES ||
      crypto_sign_seed_keypair(point.data(), seed_and_point_.data(), as_bytes(ed25519_seed).data()) != 0) {
    throw CryptoFault("Ed25519: a seed has 32 bytes");
  }
}

Signer::~Signer() { sodium_memzero(seed_and_point_.data(), seed_and_point_.size()); }

std::string_view Signer::ed25519_seed() const { return as_text(seed_and_point_).substr(0, kEd25519Bytes); }
std::string_view Signer::ed25519_point() const { return as_text(seed_and_point_).substr(kEd25519Bytes); }

std::string Signer::sign(std::string_view message) const {
  if (algorithm_ == Algorithm::kEdDSA) {
    std::string signature(crypto_sign_BYTES, '\0');
    auto* out = reinterpret_cast<unsigned char*>(signature.data());
    if (crypto_sign_detached(out, nullptr, as_bytes(message).data(), message.size(),
                             seed_and_point_.data()) != 0) {
      throw CryptoFault("Ed25519: signing failed");
    }
    return signature;
  }
  const Digest digest = sha256(message);
  Owner<EVP_PKEY_CTX> context = take_context(idle_, key_.get(), algorithm_, EVP_PKEY_sign_init);
  std::string signature(static_cast<size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  size_t length = signature.size();
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  ensure(EVP_PKEY_sign(context.get(), out, &length, digest.data(), digest.size()), "signing");
  idle_.give_back(std::move(context));
  signature.resize(length);
  return algorithm_ == Algorithm::kES256 ? jws_from_der(signature) : signature;
}

}  // namespace behalf::crypto
