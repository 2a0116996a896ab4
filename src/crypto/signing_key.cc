// Private keys: generated, read from and written to private JWKs (RFC 7518 §6.2.2, §6.3.2; RFC 8037 §2).
//
// The public half always goes through VerifyingKey::import, so a key we sign with passes every check that we
// ask of others; then the private half must belong to it. Not fast: this happens at start and when keys are
// rotated.
#include <openssl/core_names.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/jwk.h"
#include "crypto/signature.h"
#include "crypto/sodium.h"

namespace behalf::crypto {
namespace {

constexpr unsigned kGeneratedRsaBits = 2048;

// A member of an RSA private key and what OpenSSL calls it.
struct RsaMember {
  std::string_view name;
  const char* parameter;
};
constexpr std::array<RsaMember, 8> kRsaMembers = {{{"n", OSSL_PKEY_PARAM_RSA_N},
                                                   {"e", OSSL_PKEY_PARAM_RSA_E},
                                                   {"d", OSSL_PKEY_PARAM_RSA_D},
                                                   {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                                                   {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
                                                   {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                                                   {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
                                                   {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}}};

constexpr std::array<std::string_view, 9> kPublicMembers = {"kty", "crv", "x",   "y",  "n",
                                                            "e",   "kid", "alg", "use"};

Refused<KeyFault> refuse(KeyFault fault) { return Refused<KeyFault>{fault}; }

json::Value public_members(const json::Value& private_jwk) {
  json::Value jwk{json::Value::Object{}};
  for (const std::string_view name : kPublicMembers) {
    if (const json::Value* value = private_jwk.find(name)) jwk.set(name, *value);
  }
  return jwk;
}

bool may_sign(const json::Value& jwk) {
  const json::Value* operations = jwk.find("key_ops");
  if (operations == nullptr) return true;
  if (operations->array() == nullptr) return false;
  for (const json::Value& name : *operations->array()) {
    if (name.string() != nullptr && *name.string() == "sign") return true;
  }
  return false;
}

Result<Secret, KeyFault> read_secret(const json::Value& jwk, std::string_view name) {
  const std::string* text = jwk.find_string(name);
  if (text == nullptr) return refuse(KeyFault::kMalformed);
  std::optional<std::string> bytes = decode_base64url(*text);
  if (!bytes || bytes->empty()) return refuse(KeyFault::kMalformed);
  return Secret(std::move(*bytes));
}

Owner<BIGNUM> number(const Secret& bytes) {
  const auto text = as_bytes(bytes.reveal());
  return own(BN_bin2bn(text.data(), static_cast<int>(text.size()), nullptr), "number");
}

std::string number_member(const EVP_PKEY* key, const char* parameter, size_t least_bytes) {
  BIGNUM* raw = nullptr;
  ensure(EVP_PKEY_get_bn_param(key, parameter, &raw), parameter);
  const Owner<BIGNUM> value(raw);
  const size_t length = std::max(least_bytes, static_cast<size_t>(BN_num_bytes(raw)));
  std::string bytes(length, '\0');
  ensure(BN_bn2binpad(raw, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(length)),
         parameter);
  std::string text = base64url(bytes);
  wipe(bytes);
  return text;
}

// The handle of a private key's numbers; empty if OpenSSL takes them for none.
std::optional<Owner<EVP_PKEY>> assemble(const char* type, OSSL_PARAM_BLD* builder) {
  const Owner<OSSL_PARAM> parameters = own(OSSL_PARAM_BLD_to_param(builder), type);
  const Owner<EVP_PKEY_CTX> context = own(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), type);
  ensure(EVP_PKEY_fromdata_init(context.get()), type);
  EVP_PKEY* imported = nullptr;
  const bool accepted = EVP_PKEY_fromdata(context.get(), &imported, EVP_PKEY_KEYPAIR, parameters.get()) == 1;
  Owner<EVP_PKEY> key(imported);
  if (accepted && key != nullptr) return key;
  drop_errors();
  return std::nullopt;
}

// Whether the numbers of an RSA key belong together (RFC 8017 §3.2). EVP_PKEY_check would also test the
// factors for primality, which takes a third of a second of every start; who holds the private key could as
// well give it away as choose it badly.
bool belong_together(const std::vector<Owner<BIGNUM>>& numbers) {
  const auto named = [&](std::string_view name) {
    const auto at = std::find_if(kRsaMembers.begin(), kRsaMembers.end(),
                                 [&](const RsaMember& member) { return member.name == name; });
    return numbers[static_cast<size_t>(at - kRsaMembers.begin())].get();
  };
  const Owner<BN_CTX> context = own(BN_CTX_secure_new(), "RSA");
  const Owner<BIGNUM> product = own(BN_new(), "RSA");
  const Owner<BIGNUM> rest = own(BN_new(), "RSA");
  // a * b mod m
  const auto product_modulo = [&](const BIGNUM* a, const BIGNUM* b, const BIGNUM* m) {
    ensure(BN_mod_mul(rest.get(), a, b, m, context.get()), "RSA");
    return rest.get();
  };
  ensure(BN_mul(product.get(), named("p"), named("q"), context.get()), "RSA");
  if (BN_is_one(named("p")) || BN_is_one(named("q")) || BN_cmp(product.get(), named("n")) != 0) return false;
  for (const auto& [factor, exponent] : {std::pair{"p", "dp"}, std::pair{"q", "dq"}}) {
    const Owner<BIGNUM> less_one = own(BN_dup(named(factor)), "RSA");
    ensure(BN_sub_word(less_one.get(), 1), "RSA");
    if (!BN_is_one(product_modulo(named("e"), named("d"), less_one.get()))) return false;
    ensure(BN_nnmod(rest.get(), named("d"), less_one.get(), context.get()), "RSA");
    if (BN_cmp(rest.get(), named(exponent)) != 0) return false;
  }
  return BN_is_one(product_modulo(named("q"), named("qi"), named("p")));
}

Result<Owner<EVP_PKEY>, KeyFault> read_p256(const json::Value& jwk) {
  const Secret d = TRY(read_secret(jwk, "d"));
  if (d.reveal().size() != kP256Bytes) return refuse(KeyFault::kMalformed);
  const Secret x = TRY(read_secret(jwk, "x"));
  const Secret y = TRY(read_secret(jwk, "y"));
  std::string point = "\x04";
  point.append(x.reveal()).append(y.reveal());
  const Owner<BIGNUM> scalar = number(d);
  const Owner<OSSL_PARAM_BLD> builder = own(OSSL_PARAM_BLD_new(), "EC");
  ensure(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0), "EC");
  ensure(OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
         "EC");
  ensure(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar.get()), "EC");
  std::optional<Owner<EVP_PKEY>> key = assemble("EC", builder.get());
  if (!key) return refuse(KeyFault::kInvalid);
  const Owner<EVP_PKEY_CTX> check = own(EVP_PKEY_CTX_new_from_pkey(nullptr, key->get(), nullptr), "EC");
  if (EVP_PKEY_check(check.get()) != 1) {
    drop_errors();
    return refuse(KeyFault::kInvalid);
  }
  return std::move(*key);
}

Result<Owner<EVP_PKEY>, KeyFault> read_rsa(const json::Value& jwk) {
  if (jwk.find("oth") != nullptr) return refuse(KeyFault::kUnsupported);
  std::vector<Owner<BIGNUM>> numbers;
  const Owner<OSSL_PARAM_BLD> builder = own(OSSL_PARAM_BLD_new(), "RSA");
  for (const RsaMember& member : kRsaMembers) {
    const Secret bytes = TRY(read_secret(jwk, member.name));
    if (bytes.reveal().front() == 0) return refuse(KeyFault::kMalformed);
    if (bytes.reveal().size() > 1024) return refuse(KeyFault::kInvalid);
    numbers.push_back(number(bytes));
    ensure(OSSL_PARAM_BLD_push_BN(builder.get(), member.parameter, numbers.back().get()), "RSA");
  }
  if (!belong_together(numbers)) return refuse(KeyFault::kInvalid);
  std::optional<Owner<EVP_PKEY>> key = assemble("RSA", builder.get());
  if (!key) return refuse(KeyFault::kInvalid);
  return std::move(*key);
}

Owner<EVP_PKEY> generate_handle(Algorithm algorithm) {
  if (algorithm == Algorithm::kES256) return own(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), "P-256");
  return own(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{kGeneratedRsaBits}), "RSA");
}

// kty and the numbers, as far as they are public.
json::Value describe_public(const Signer& signer) {
  json::Value jwk{json::Value::Object{}};
  switch (signer.algorithm()) {
    case Algorithm::kEdDSA:
      jwk.set("kty", "OKP");
      jwk.set("crv", "Ed25519");
      jwk.set("x", base64url(signer.ed25519_point()));
      return jwk;
    case Algorithm::kES256:
      jwk.set("kty", "EC");
      jwk.set("crv", "P-256");
      jwk.set("x", number_member(signer.key(), OSSL_PKEY_PARAM_EC_PUB_X, kP256Bytes));
      jwk.set("y", number_member(signer.key(), OSSL_PKEY_PARAM_EC_PUB_Y, kP256Bytes));
      return jwk;
    case Algorithm::kPS256:
    case Algorithm::kRS256:
      jwk.set("kty", "RSA");
      jwk.set("n", number_member(signer.key(), OSSL_PKEY_PARAM_RSA_N, 1));
      jwk.set("e", number_member(signer.key(), OSSL_PKEY_PARAM_RSA_E, 1));
      return jwk;
  }
  return jwk;
}

}  // namespace

struct SigningKey::State {
  Signer signer;
  json::Value public_jwk;
  VerifyingKey verifying_key;

  // An empty `key_id` becomes the thumbprint.
  template <class... Arguments>
  explicit State(std::string_view key_id, Arguments&&... arguments)
      : signer(std::forward<Arguments>(arguments)...), public_jwk(describe_public(signer)) {
    public_jwk.set("alg", name_of(signer.algorithm()));
    public_jwk.set("use", "sig");
    if (!key_id.empty()) public_jwk.set("kid", key_id);
    Result<VerifyingKey, KeyFault> checked = VerifyingKey::import(public_jwk);
    if (!checked) throw CryptoFault("a key of ours does not pass the checks for others");
    verifying_key = std::move(*checked);
    public_jwk.set("kid", verifying_key.key_id());
  }
};

SigningKey SigningKey::generate(Algorithm algorithm) {
  SigningKey key;
  if (algorithm == Algorithm::kEdDSA) {
    ensure_sodium();
    std::string seed(kEd25519Bytes, '\0');
    randombytes_buf(seed.data(), seed.size());
    const Secret secret(std::move(seed));
    key.state_ = std::make_shared<State>("", secret.reveal());
  } else {
    key.state_ = std::make_shared<State>("", algorithm, generate_handle(algorithm));
  }
  return key;
}

Result<SigningKey, KeyFault> SigningKey::import(const json::Value& private_jwk) {
  if (!may_sign(private_jwk)) return refuse(KeyFault::kWrongUse);
  const VerifyingKey claimed = TRY(VerifyingKey::import(public_members(private_jwk)));
  SigningKey key;
  switch (claimed.algorithm()) {
    case Algorithm::kEdDSA: {
      const Secret seed = TRY(read_secret(private_jwk, "d"));
      if (seed.reveal().size() != kEd25519Bytes) return refuse(KeyFault::kMalformed);
      key.state_ = std::make_shared<State>(claimed.key_id(), seed.reveal());
      break;
    }
    case Algorithm::kES256:
      key.state_ =
          std::make_shared<State>(claimed.key_id(), claimed.algorithm(), TRY(read_p256(private_jwk)));
      break;
    case Algorithm::kPS256:
    case Algorithm::kRS256:
      key.state_ = std::make_shared<State>(claimed.key_id(), claimed.algorithm(), TRY(read_rsa(private_jwk)));
      break;
  }
  if (key.verifying_key().thumbprint() != claimed.thumbprint()) return refuse(KeyFault::kInvalid);
  return key;
}

const std::string& SigningKey::key_id() const { return state_->verifying_key.key_id(); }
Algorithm SigningKey::algorithm() const { return state_->signer.algorithm(); }
std::string SigningKey::sign(std::string_view message) const { return state_->signer.sign(message); }
json::Value SigningKey::public_jwk() const { return state_->public_jwk; }
VerifyingKey SigningKey::verifying_key() const { return state_->verifying_key; }

json::Value SigningKey::private_jwk() const {
  const Signer& signer = state_->signer;
  json::Value jwk = state_->public_jwk;
  switch (signer.algorithm()) {
    case Algorithm::kEdDSA:
      jwk.set("d", base64url(signer.ed25519_seed()));
      return jwk;
    case Algorithm::kES256:
      jwk.set("d", number_member(signer.key(), OSSL_PKEY_PARAM_PRIV_KEY, kP256Bytes));
      return jwk;
    case Algorithm::kPS256:
    case Algorithm::kRS256:
      for (const RsaMember& member : kRsaMembers)
        jwk.set(member.name, number_member(signer.key(), member.parameter, 1));
      return jwk;
  }
  return jwk;
}

}  // namespace behalf::crypto
