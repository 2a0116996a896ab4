// Reads public JWKs. Order of the checks: private members first (whoever sends one should hear that before
// anything else), then what the key says of itself, then the numbers. Every text has one accepted form:
// base64url without padding, EC coordinates of full length, RSA numbers without leading zeros, so a key has
// one thumbprint.
#include "crypto/jwk.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/signature.h"

namespace behalf::crypto {
namespace {

constexpr size_t kMaxKeyIdBytes = 256;
constexpr size_t kMaxKeyOperations = 16;
constexpr size_t kLeastRsaBits = 2048;
constexpr size_t kMostRsaBits = 8192;
// The work of one verification grows with the exponent's length; OpenSSL draws the same line for large
// moduli.
constexpr size_t kMostExponentBytes = 8;
constexpr uint64_t kLeastExponent = 65537;

// RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2.
constexpr std::array<std::string_view, 8> kPrivateMembers = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

struct AlgorithmName {
  Algorithm algorithm;
  std::string_view name;
};
constexpr std::array<AlgorithmName, 4> kAlgorithmNames = {{{Algorithm::kES256, "ES256"},
                                                           {Algorithm::kEdDSA, "EdDSA"},
                                                           {Algorithm::kPS256, "PS256"},
                                                           {Algorithm::kRS256, "RS256"}}};

Refused<KeyFault> refuse(KeyFault fault) { return Refused<KeyFault>{fault}; }

bool has_private_member(const json::Value& jwk) {
  return std::any_of(kPrivateMembers.begin(), kPrivateMembers.end(),
                     [&](std::string_view name) { return jwk.find(name) != nullptr; });
}

// RFC 7517 §4.2, §4.3: absent says nothing; what is there must allow verifying.
Result<Fine, KeyFault> check_use(const json::Value& jwk) {
  if (const json::Value* use = jwk.find("use")) {
    if (use->string() == nullptr) return refuse(KeyFault::kMalformed);
    if (*use->string() != "sig") return refuse(KeyFault::kWrongUse);
  }
  const json::Value* operations = jwk.find("key_ops");
  if (operations == nullptr) return Fine{};
  const json::Value::Array* names = operations->array();
  if (names == nullptr || names->size() > kMaxKeyOperations) return refuse(KeyFault::kMalformed);
  bool may_verify = false;
  for (auto name = names->begin(); name != names->end(); ++name) {
    if (name->string() == nullptr) return refuse(KeyFault::kMalformed);
    if (std::find(names->begin(), name, *name) != name) return refuse(KeyFault::kMalformed);
    may_verify = may_verify || *name->string() == "verify";
  }
  if (!may_verify) return refuse(KeyFault::kWrongUse);
  return Fine{};
}

// The `kid`, or empty where there is none.
Result<std::string, KeyFault> read_key_id(const json::Value& jwk) {
  const json::Value* member = jwk.find("kid");
  if (member == nullptr) return std::string();
  const std::string* key_id = member->string();
  if (key_id == nullptr || key_id->empty() || key_id->size() > kMaxKeyIdBytes)
    return refuse(KeyFault::kMalformed);
  return *key_id;
}

// The algorithm the key asks for if it is one of `possible`, the first of them if it does not ask.
Result<Algorithm, KeyFault> choose_algorithm(const json::Value& jwk,
                                             std::initializer_list<Algorithm> possible) {
  const json::Value* member = jwk.find("alg");
  if (member == nullptr) return *possible.begin();
  if (member->string() == nullptr) return refuse(KeyFault::kMalformed);
  const std::optional<Algorithm> algorithm = parse_algorithm(*member->string());
  if (!algorithm) return refuse(KeyFault::kUnsupported);
  if (std::find(possible.begin(), possible.end(), *algorithm) == possible.end()) {
    return refuse(KeyFault::kInvalid);
  }
  return *algorithm;
}

Result<std::string, KeyFault> read_bytes(const json::Value& jwk, std::string_view name) {
  const std::string* text = jwk.find_string(name);
  if (text == nullptr) return refuse(KeyFault::kMalformed);
  std::optional<std::string> bytes = decode_base64url(*text);
  if (!bytes || bytes->empty()) return refuse(KeyFault::kMalformed);
  return std::move(*bytes);
}

Result<std::string, KeyFault> read_bytes(const json::Value& jwk, std::string_view name, size_t length) {
  std::string bytes = TRY(read_bytes(jwk, name));
  if (bytes.size() != length) return refuse(KeyFault::kMalformed);
  return bytes;
}

// Base64urlUInt (RFC 7518 §2): as few bytes as can be.
Result<std::string, KeyFault> read_number(const json::Value& jwk, std::string_view name) {
  std::string bytes = TRY(read_bytes(jwk, name));
  if (bytes.front() == 0) return refuse(KeyFault::kMalformed);
  return bytes;
}

Result<std::string, KeyFault> read_curve(const json::Value& jwk) {
  const std::string* curve = jwk.find_string("crv");
  if (curve == nullptr) return refuse(KeyFault::kMalformed);
  return *curve;
}

std::string thumbprint_of(std::string_view canonical_jwk) { return base64url(sha256(canonical_jwk)); }

bool is_odd(std::string_view number) { return (static_cast<unsigned char>(number.back()) & 1) != 0; }

// OpenSSL's own check of a public RSA key is not asked: it tests the modulus for being prime, which for a
// modulus of the sender's choosing takes seconds. A sender who chooses a bad modulus lets others sign as
// himself, no one else.
Result<Fine, KeyFault> check_rsa_strength(std::string_view modulus, std::string_view exponent) {
  const auto unused = static_cast<size_t>(std::countl_zero(static_cast<unsigned char>(modulus.front())));
  const size_t bits = modulus.size() * 8 - unused;
  if (bits < kLeastRsaBits || bits > kMostRsaBits) return refuse(KeyFault::kWeak);
  if (!is_odd(exponent) || exponent.size() > kMostExponentBytes) return refuse(KeyFault::kWeak);
  uint64_t value = 0;
  for (const char byte : exponent) value = (value << 8) | static_cast<unsigned char>(byte);
  if (value < kLeastExponent) return refuse(KeyFault::kWeak);
  if (!is_odd(modulus)) return refuse(KeyFault::kInvalid);
  return Fine{};
}

}  // namespace

std::string_view name_of(Algorithm algorithm) {
  for (const AlgorithmName& row : kAlgorithmNames) {
    if (row.algorithm == algorithm) return row.name;
  }
  return {};
}

std::optional<Algorithm> parse_algorithm(std::string_view name) {
  for (const AlgorithmName& row : kAlgorithmNames) {
    if (row.name == name) return row.algorithm;
  }
  return std::nullopt;
}

std::string_view describe(KeyFault fault) {
  switch (fault) {
    case KeyFault::kMalformed:
      return "not a well-formed JWK";
    case KeyFault::kUnsupported:
      return "key type, curve or algorithm is not supported";
    case KeyFault::kPrivate:
      return "contains private or symmetric key material";
    case KeyFault::kWrongUse:
      return "use or key_ops does not allow verifying signatures";
    case KeyFault::kWeak:
      return "RSA modulus or exponent is outside the accepted range";
    case KeyFault::kInvalid:
      return "the key is not valid for its type or algorithm";
  }
  return {};
}

struct VerifyingKey::State {
  SignatureVerifier verifier;
  std::string thumbprint;
  std::string key_id;

  template <class... Arguments>
  State(std::string_view canonical_jwk, std::string id, Arguments&&... arguments)
      : verifier(std::forward<Arguments>(arguments)...),
        thumbprint(thumbprint_of(canonical_jwk)),
        key_id(id.empty() ? thumbprint : std::move(id)) {}
};

Result<VerifyingKey, KeyFault> VerifyingKey::import(const json::Value& jwk) {
  if (jwk.object() == nullptr) return refuse(KeyFault::kMalformed);
  if (has_private_member(jwk)) return refuse(KeyFault::kPrivate);
  const std::string* type = jwk.find_string("kty");
  if (type == nullptr) return refuse(KeyFault::kMalformed);
  TRY(check_use(jwk));
  std::string key_id = TRY(read_key_id(jwk));

  VerifyingKey key;
  std::string canonical;  // RFC 7638 §3.2: the required members in lexical order, nothing else
  json::ObjectWriter writer(canonical);
  if (*type == "EC") {
    if (TRY(read_curve(jwk)) != "P-256") return refuse(KeyFault::kUnsupported);
    const Algorithm algorithm = TRY(choose_algorithm(jwk, {Algorithm::kES256}));
    const std::string x = TRY(read_bytes(jwk, "x", kP256Bytes));
    const std::string y = TRY(read_bytes(jwk, "y", kP256Bytes));
    std::optional<Owner<EVP_PKEY>> handle = p256_public_key(x, y);
    if (!handle) return refuse(KeyFault::kInvalid);
    writer.add("crv", "P-256").add("kty", "EC").add("x", base64url(x)).add("y", base64url(y)).end();
    key.state_ = std::make_shared<State>(canonical, std::move(key_id), algorithm, std::move(*handle));
    return key;
  }
  if (*type == "OKP") {
    if (TRY(read_curve(jwk)) != "Ed25519") return refuse(KeyFault::kUnsupported);
    TRY(choose_algorithm(jwk, {Algorithm::kEdDSA}));
    const std::string x = TRY(read_bytes(jwk, "x", kEd25519Bytes));
    if (!is_ed25519_point(x)) return refuse(KeyFault::kInvalid);
    writer.add("crv", "Ed25519").add("kty", "OKP").add("x", base64url(x)).end();
    key.state_ = std::make_shared<State>(canonical, std::move(key_id), x);
    return key;
  }
  if (*type == "RSA") {
    const Algorithm algorithm = TRY(choose_algorithm(jwk, {Algorithm::kRS256, Algorithm::kPS256}));
    const std::string modulus = TRY(read_number(jwk, "n"));
    const std::string exponent = TRY(read_number(jwk, "e"));
    TRY(check_rsa_strength(modulus, exponent));
    writer.add("e", base64url(exponent)).add("kty", "RSA").add("n", base64url(modulus)).end();
    key.state_ =
        std::make_shared<State>(canonical, std::move(key_id), algorithm, rsa_public_key(modulus, exponent));
    return key;
  }
  return refuse(KeyFault::kUnsupported);
}

const std::string& VerifyingKey::key_id() const { return state_->key_id; }
const std::string& VerifyingKey::thumbprint() const { return state_->thumbprint; }
Algorithm VerifyingKey::algorithm() const { return state_->verifier.algorithm(); }

bool VerifyingKey::verify(std::string_view message, std::string_view signature) const {
  return state_->verifier.verify(message, signature);
}

// RFC 7517 §5 wants keys that are not understood to be ignored, so that a set may hold encryption keys or
// newer algorithms beside ours. STRICTER: a key of ours that is malformed, invalid or weak refuses the set,
// because dropping it in silence would show up as "unknown key" somewhere else; so does the same `kid` twice
// for one algorithm.
Result<std::vector<VerifyingKey>, KeyFault> import_key_set(const json::Value& jwks) {
  const json::Value* member = jwks.find("keys");
  const json::Value::Array* entries = member == nullptr ? nullptr : member->array();
  if (entries == nullptr || entries->size() > kMaxKeys) return refuse(KeyFault::kMalformed);
  if (std::any_of(entries->begin(), entries->end(), has_private_member)) return refuse(KeyFault::kPrivate);
  std::vector<VerifyingKey> keys;
  for (const json::Value& entry : *entries) {
    Result<VerifyingKey, KeyFault> key = VerifyingKey::import(entry);
    if (!key) {
      const KeyFault fault = key.reason();
      if (fault == KeyFault::kUnsupported || fault == KeyFault::kWrongUse) continue;
      return refuse(fault);
    }
    const bool is_ambiguous = std::any_of(keys.begin(), keys.end(), [&](const VerifyingKey& other) {
      return other.key_id() == key->key_id() && other.algorithm() == key->algorithm();
    });
    if (is_ambiguous) return refuse(KeyFault::kMalformed);
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace behalf::crypto
