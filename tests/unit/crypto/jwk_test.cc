// Which public keys are accepted (RFC 7517, 7518 §6, 8037), what they are called (RFC 7638), and every
// refusal.
#include "crypto/jwk.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "unit/crypto/fixtures.h"

namespace behalf::crypto {
namespace {

using namespace testing;

std::optional<KeyFault> fault_of(const json::Value& jwk) {
  const auto key = VerifyingKey::import(jwk);
  if (!key) return key.reason();
  return std::nullopt;
}

std::string rsa_number(size_t bytes, unsigned char first, unsigned char last) {
  std::string number(bytes, '\x5a');
  number.front() = static_cast<char>(first);
  number.back() = static_cast<char>(last);
  return base64url(number);
}

TEST(Jwk, has_the_thumbprint_of_rfc7638) {
  json::Value jwk = with(with(rsa_jwk(), "alg", "RS256"), "kid", "2011-04-29");
  const auto key = VerifyingKey::import(jwk);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  EXPECT_EQ(key->key_id(), "2011-04-29");
  EXPECT_EQ(key->algorithm(), Algorithm::kRS256);
}

TEST(Jwk, has_the_thumbprint_and_verifies_the_signature_of_rfc8037) {
  const auto key = VerifyingKey::import(ed_jwk());
  ASSERT_TRUE(key);
  EXPECT_EQ(key->thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  EXPECT_EQ(key->key_id(), key->thumbprint());
  const auto signature = decode_base64url(
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
  ASSERT_TRUE(signature);
  EXPECT_TRUE(key->verify("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", *signature));
  EXPECT_FALSE(key->verify("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbm0", *signature));
}

TEST(Jwk, verifies_the_es256_signature_of_rfc7515) {
  const auto key = VerifyingKey::import(ec_jwk());
  ASSERT_TRUE(key);
  const auto signature = decode_base64url(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  ASSERT_TRUE(signature);
  EXPECT_TRUE(
      key->verify("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                  "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                  *signature));
}

TEST(Jwk, takes_the_key_of_rfc7517_a1_unless_it_says_enc) {
  const json::Value jwk = json::Value::Object{{"kty", "EC"},
                                              {"crv", "P-256"},
                                              {"x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"},
                                              {"y", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
                                              {"kid", "1"}};
  EXPECT_EQ(fault_of(jwk), std::nullopt);
  EXPECT_EQ(fault_of(with(jwk, "use", "enc")), KeyFault::kWrongUse);
}

TEST(Jwk, algorithm_follows_the_key) {
  EXPECT_EQ(VerifyingKey::import(ec_jwk())->algorithm(), Algorithm::kES256);
  EXPECT_EQ(VerifyingKey::import(ed_jwk())->algorithm(), Algorithm::kEdDSA);
  EXPECT_EQ(VerifyingKey::import(rsa_jwk())->algorithm(), Algorithm::kRS256);
  EXPECT_EQ(VerifyingKey::import(with(rsa_jwk(), "alg", "PS256"))->algorithm(), Algorithm::kPS256);
  for (const Algorithm algorithm : kAllAlgorithms) EXPECT_EQ(parse_algorithm(name_of(algorithm)), algorithm);
  for (const std::string_view name :
       {"", "none", "None", "HS256", "es256", "ES256 ", "ES384", "ES256K", "Ed25519"}) {
    EXPECT_EQ(parse_algorithm(name), std::nullopt) << name;
  }
}

TEST(Jwk, what_is_optional_or_foreign_changes_nothing) {
  const std::string thumbprint = VerifyingKey::import(ec_jwk())->thumbprint();
  for (const json::Value& jwk :
       {with(ec_jwk(), "use", "sig"), with(ec_jwk(), "alg", "ES256"),
        with(ec_jwk(), "key_ops", json::Value::Array{"verify"}),
        with(ec_jwk(), "key_ops", json::Value::Array{"sign", "verify"}),
        with(ec_jwk(), "kid", std::string(256, 'k')), with(ec_jwk(), "x5u", "https://attacker.example/cert"),
        with(ec_jwk(), "x5c", json::Value::Array{"AAAA"}), with(ec_jwk(), "jku", 7),
        with(ec_jwk(), "n", "AAAA"), with(ec_jwk(), "made-up", json::Value())}) {
    const auto key = VerifyingKey::import(jwk);
    ASSERT_TRUE(key) << json::write(jwk);
    EXPECT_EQ(key->thumbprint(), thumbprint);
  }
}

TEST(Jwk, refuses_what_is_not_well_formed) {
  const std::string x(kEcX);
  const json::Value bad[] = {
      json::Value(),
      json::Value("EC"),
      json::Value(json::Value::Array{ec_jwk()}),
      json::Value(json::Value::Object{}),
      with(ec_jwk(), "kty", 1),
      without(ec_jwk(), "crv"),
      with(ec_jwk(), "crv", json::Value()),
      without(ec_jwk(), "x"),
      without(ec_jwk(), "y"),
      with(ec_jwk(), "x", ""),
      with(ec_jwk(), "x", 5),
      with(ec_jwk(), "x", x + "="),
      with(ec_jwk(), "x", " " + x),
      with(ec_jwk(), "x", x.substr(0, 42) + "V"),  // unused bits set
      with(ec_jwk(), "x", base64url(*decode_base64url(x) + std::string(1, '\0'))),
      with(ec_jwk(), "x", base64url(std::string(1, '\0') + *decode_base64url(x))),
      with(ec_jwk(), "x", base64url(decode_base64url(x)->substr(1))),
      with(ed_jwk(), "x", base64url(std::string(31, 'x'))),
      with(ed_jwk(), "x", base64url(std::string(33, 'x'))),
      without(ed_jwk(), "x"),
      without(rsa_jwk(), "n"),
      without(rsa_jwk(), "e"),
      with(rsa_jwk(), "e", 65537),
      with(rsa_jwk(), "e", ""),
      with(rsa_jwk(), "e", base64url(std::string("\0\1\0\1", 4))),
      with(rsa_jwk(), "n", base64url(std::string(1, '\0') + *decode_base64url(kRsaN))),
      with(rsa_jwk(), "n", std::string(kRsaN) + "=="),
      with(ec_jwk(), "kid", ""),
      with(ec_jwk(), "kid", 7),
      with(ec_jwk(), "kid", std::string(257, 'k')),
      with(ec_jwk(), "alg", 1),
      with(ec_jwk(), "use", 1),
      with(ec_jwk(), "key_ops", "verify"),
      with(ec_jwk(), "key_ops", json::Value::Array{1}),
      with(ec_jwk(), "key_ops", json::Value::Array{"verify", "verify"}),
      with(ec_jwk(), "key_ops", json::Value::Array(17, "verify")),
  };
  for (const json::Value& jwk : bad) EXPECT_EQ(fault_of(jwk), KeyFault::kMalformed) << json::write(jwk);
}

TEST(Jwk, refuses_key_types_curves_and_algorithms_not_offered) {
  const json::Value bad[] = {
      with(ec_jwk(), "kty", "ec"),        with(ec_jwk(), "kty", "oct"),       with(ec_jwk(), "kty", ""),
      with(ec_jwk(), "crv", "P-384"),     with(ec_jwk(), "crv", "secp256k1"), with(ec_jwk(), "crv", "p-256"),
      with(ed_jwk(), "crv", "Ed448"),     with(ed_jwk(), "crv", "X25519"),    with(ec_jwk(), "alg", "ES384"),
      with(ec_jwk(), "alg", "none"),      with(ec_jwk(), "alg", "HS256"),     with(rsa_jwk(), "alg", "RS512"),
      with(rsa_jwk(), "alg", "RSA-OAEP"), with(ec_jwk(), "alg", "ES256\n"),
  };
  for (const json::Value& jwk : bad) EXPECT_EQ(fault_of(jwk), KeyFault::kUnsupported) << json::write(jwk);
}

TEST(Jwk, refuses_private_and_symmetric_members_before_anything_else) {
  for (const std::string_view name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    EXPECT_EQ(fault_of(with(ec_jwk(), name, "AAAA")), KeyFault::kPrivate) << name;
    EXPECT_EQ(fault_of(with(rsa_jwk(), name, json::Value())), KeyFault::kPrivate) << name;
    EXPECT_EQ(fault_of(json::Value::Object{{"kty", "oct"}, {std::string(name), "AAAA"}}), KeyFault::kPrivate)
        << name;
  }
}

TEST(Jwk, refuses_keys_meant_for_something_else) {
  EXPECT_EQ(fault_of(with(ec_jwk(), "use", "enc")), KeyFault::kWrongUse);
  EXPECT_EQ(fault_of(with(ec_jwk(), "use", "SIG")), KeyFault::kWrongUse);
  EXPECT_EQ(fault_of(with(ec_jwk(), "key_ops", json::Value::Array{})), KeyFault::kWrongUse);
  EXPECT_EQ(fault_of(with(ec_jwk(), "key_ops", json::Value::Array{"sign"})), KeyFault::kWrongUse);
  EXPECT_EQ(fault_of(with(with(ec_jwk(), "use", "sig"), "key_ops", json::Value::Array{"encrypt"})),
            KeyFault::kWrongUse);
}

TEST(Jwk, refuses_rsa_keys_outside_the_range) {
  const auto with_n = [](std::string n) { return with(rsa_jwk(), "n", std::move(n)); };
  EXPECT_EQ(fault_of(with_n(rsa_number(256, 0x7f, 1))), KeyFault::kWeak) << "2047 bits";
  EXPECT_EQ(fault_of(with_n(rsa_number(256, 0x80, 1))), std::nullopt) << "2048 bits";
  EXPECT_EQ(fault_of(with_n(rsa_number(1024, 0xff, 1))), std::nullopt) << "8192 bits";
  EXPECT_EQ(fault_of(with_n(rsa_number(1025, 0x01, 1))), KeyFault::kWeak) << "8193 bits";
  EXPECT_EQ(fault_of(with_n(rsa_number(128, 0xff, 1))), KeyFault::kWeak) << "1024 bits";
  EXPECT_EQ(fault_of(with_n("AQ")), KeyFault::kWeak);
  EXPECT_EQ(fault_of(with_n(std::string(1 << 20, 'x'))), KeyFault::kWeak) << "a megabyte";
  EXPECT_EQ(fault_of(with_n(rsa_number(256, 0xff, 2))), KeyFault::kInvalid) << "even modulus";
  const auto with_e = [](std::string_view e) { return with(rsa_jwk(), "e", base64url(e)); };
  EXPECT_EQ(fault_of(with_e("\x01")), KeyFault::kWeak);
  EXPECT_EQ(fault_of(with_e("\x03")), KeyFault::kWeak);
  EXPECT_EQ(fault_of(with_e("\xff\xff")), KeyFault::kWeak);
  EXPECT_EQ(fault_of(with_e(std::string_view("\x01\x00\x02", 3))), KeyFault::kWeak) << "even exponent";
  EXPECT_EQ(fault_of(with_e("\x01\x01\x01")), std::nullopt);
  EXPECT_EQ(fault_of(with_e(std::string(8, '\x7f'))), std::nullopt);
  EXPECT_EQ(fault_of(with_e(std::string(9, '\x7f'))), KeyFault::kWeak);
  EXPECT_EQ(fault_of(with_e(std::string(1000, '\x7f'))), KeyFault::kWeak);
}

TEST(Jwk, refuses_points_that_are_none) {
  EXPECT_EQ(fault_of(with(ec_jwk(), "x", kEcY)), KeyFault::kInvalid) << "not on the curve";
  EXPECT_EQ(fault_of(with(with(ec_jwk(), "x", base64url(std::string(32, '\0'))), "y",
                          base64url(std::string(32, '\0')))),
            KeyFault::kInvalid);
  EXPECT_EQ(fault_of(with(ec_jwk(), "x", base64url(std::string(32, '\xff')))), KeyFault::kInvalid)
      << "not below p";
  const auto point = [](std::string_view bytes) { return with(ed_jwk(), "x", base64url(bytes)); };
  std::string identity(32, '\0');
  identity[0] = 1;
  EXPECT_EQ(fault_of(point(identity)), KeyFault::kInvalid);
  EXPECT_EQ(fault_of(point(std::string(32, '\0'))), KeyFault::kInvalid) << "order four";
  std::string order_two(32, '\xff');
  order_two[0] = '\xec';
  order_two[31] = '\x7f';
  EXPECT_EQ(fault_of(point(order_two)), KeyFault::kInvalid);
  std::string non_canonical(32, '\xff');
  non_canonical[0] = '\xee';
  non_canonical[31] = '\x7f';
  EXPECT_EQ(fault_of(point(non_canonical)), KeyFault::kInvalid) << "p + 1, the identity once more";
}

TEST(Jwk, refuses_an_algorithm_of_another_key_type) {
  EXPECT_EQ(fault_of(with(ec_jwk(), "alg", "EdDSA")), KeyFault::kInvalid);
  EXPECT_EQ(fault_of(with(ec_jwk(), "alg", "RS256")), KeyFault::kInvalid);
  EXPECT_EQ(fault_of(with(ed_jwk(), "alg", "ES256")), KeyFault::kInvalid);
  EXPECT_EQ(fault_of(with(rsa_jwk(), "alg", "ES256")), KeyFault::kInvalid);
}

TEST(Jwk, every_fault_is_described) {
  for (const KeyFault fault : {KeyFault::kMalformed, KeyFault::kUnsupported, KeyFault::kPrivate,
                               KeyFault::kWrongUse, KeyFault::kWeak, KeyFault::kInvalid}) {
    EXPECT_FALSE(describe(fault).empty());
  }
}

json::Value set_of(json::Value::Array keys) { return json::Value::Object{{"keys", std::move(keys)}}; }

std::optional<KeyFault> set_fault(const json::Value& jwks) {
  const auto keys = import_key_set(jwks);
  if (!keys) return keys.reason();
  return std::nullopt;
}

TEST(KeySet, keeps_its_order_and_leaves_out_what_we_cannot_use) {
  const auto keys =
      import_key_set(set_of({ed_jwk(), with(ec_jwk(), "crv", "P-521"), with(ec_jwk(), "use", "enc"),
                             json::Value::Object{{"kty", "new"}}, ec_jwk()}));
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].algorithm(), Algorithm::kEdDSA);
  EXPECT_EQ((*keys)[1].algorithm(), Algorithm::kES256);
  EXPECT_TRUE(import_key_set(set_of({}))->empty());
  EXPECT_EQ(set_fault(set_of({ed_jwk(), with(rsa_jwk(), "e", "Aw")})), KeyFault::kWeak);
}

TEST(KeySet, one_private_member_refuses_it_all) {
  EXPECT_EQ(set_fault(set_of({ec_jwk(), with(ed_jwk(), "d", kEdD)})), KeyFault::kPrivate);
  EXPECT_EQ(set_fault(set_of({ec_jwk(), json::Value::Object{{"kty", "oct"}, {"k", "AAAA"}}})),
            KeyFault::kPrivate);
  EXPECT_EQ(set_fault(set_of({with(ec_jwk(), "kty", 1), with(ec_jwk(), "use", "enc"),
                              with(with(ec_jwk(), "use", "enc"), "d", "x")})),
            KeyFault::kPrivate);
}

TEST(KeySet, refuses_malformed_sets_keys_and_ambiguous_ids) {
  EXPECT_EQ(set_fault(json::Value()), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(json::Value::Array{ec_jwk()}), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(ec_jwk()), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(json::Value::Object{{"keys", ec_jwk()}}), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(set_of({ec_jwk(), "x"})), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(set_of({ec_jwk(), without(ed_jwk(), "x")})), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(set_of({with(ec_jwk(), "x", kEcY)})), KeyFault::kInvalid);
  EXPECT_EQ(set_fault(set_of({ec_jwk(), ec_jwk()})), KeyFault::kMalformed);
  EXPECT_EQ(set_fault(set_of({with(ec_jwk(), "kid", "1"), with(ed_jwk(), "kid", "1")})), std::nullopt);
  const json::Value unusable = json::Value::Object{{"kty", "new"}};
  EXPECT_EQ(set_fault(set_of(json::Value::Array(kMaxKeys, unusable))), std::nullopt);
  EXPECT_EQ(set_fault(set_of(json::Value::Array(kMaxKeys + 1, unusable))), KeyFault::kMalformed);
}

}  // namespace
}  // namespace behalf::crypto
