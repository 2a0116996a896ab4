// Private keys survive being written and read, belong to their public halves, and sign the same from many
// threads.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "unit/crypto/fixtures.h"

namespace behalf::crypto {
namespace {

using namespace testing;

std::optional<KeyFault> import_fault_of(const json::Value& jwk) {
  const auto key = SigningKey::import(jwk);
  if (!key) return key.reason();
  return std::nullopt;
}

json::Value private_jwk(Algorithm algorithm) { return signing_key(algorithm).private_jwk(); }

class EveryAlgorithm : public ::testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(Algorithms, EveryAlgorithm, ::testing::ValuesIn(kAllAlgorithms),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

TEST_P(EveryAlgorithm, signs_what_its_public_half_verifies) {
  const SigningKey& key = signing_key(GetParam());
  EXPECT_EQ(key.algorithm(), GetParam());
  EXPECT_EQ(key.key_id(), key.verifying_key().thumbprint());
  for (const std::string_view message :
       {std::string_view(), std::string_view("a.b"), std::string_view("\0", 1)}) {
    const std::string signature = key.sign(message);
    EXPECT_TRUE(key.verifying_key().verify(message, signature));
    EXPECT_FALSE(key.verifying_key().verify(std::string(message) + "x", signature));
    EXPECT_FALSE(SigningKey::generate(Algorithm::kES256).verifying_key().verify(message, signature));
  }
}

TEST_P(EveryAlgorithm, survives_a_round_trip_through_its_private_jwk) {
  const SigningKey& key = signing_key(GetParam());
  const auto text = json::parse(json::write(key.private_jwk()));
  ASSERT_TRUE(text);
  const auto again = SigningKey::import(*text);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->private_jwk(), key.private_jwk());
  EXPECT_EQ(again->public_jwk(), key.public_jwk());
  EXPECT_EQ(again->key_id(), key.key_id());
  EXPECT_TRUE(key.verifying_key().verify("message", again->sign("message")));
}

TEST_P(EveryAlgorithm, publishes_what_others_need_and_nothing_private) {
  const json::Value jwk = signing_key(GetParam()).public_jwk();
  EXPECT_EQ(*jwk.find_string("alg"), name_of(GetParam()));
  EXPECT_EQ(*jwk.find_string("use"), "sig");
  const auto key = VerifyingKey::import(jwk);
  ASSERT_TRUE(key) << "private members would be refused";
  EXPECT_EQ(key->key_id(), signing_key(GetParam()).key_id());
  EXPECT_EQ(key->algorithm(), GetParam());
  EXPECT_TRUE(key->verify("message", signing_key(GetParam()).sign("message")));
}

TEST_P(EveryAlgorithm, keeps_the_name_its_jwk_gives_it) {
  const auto key = SigningKey::import(with(private_jwk(GetParam()), "kid", "2026-11"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->key_id(), "2026-11");
  EXPECT_EQ(key->verifying_key().key_id(), "2026-11");
  EXPECT_EQ(*key->public_jwk().find_string("kid"), "2026-11");
  EXPECT_NE(key->verifying_key().thumbprint(), "2026-11");
}

TEST_P(EveryAlgorithm, refuses_a_private_half_that_is_missing_malformed_or_another_keys) {
  const json::Value jwk = private_jwk(GetParam());
  EXPECT_EQ(import_fault_of(without(jwk, "d")), KeyFault::kMalformed);
  EXPECT_EQ(import_fault_of(with(jwk, "d", 1)), KeyFault::kMalformed);
  EXPECT_EQ(import_fault_of(with(jwk, "d", "")), KeyFault::kMalformed);
  EXPECT_EQ(import_fault_of(with(jwk, "d", *jwk.find_string("d") + "=")), KeyFault::kMalformed);
  EXPECT_EQ(import_fault_of(with(jwk, "d", *SigningKey::generate(GetParam()).private_jwk().find_string("d"))),
            KeyFault::kInvalid);
}

TEST_P(EveryAlgorithm, is_one_key_for_many_threads) {
  const SigningKey key = *SigningKey::import(private_jwk(GetParam()));  // nothing prepared yet
  const VerifyingKey verifying_key = key.verifying_key();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const SigningKey copy = key;
      for (int round = 0; round < 20; ++round) {
        const std::string message = std::to_string(i) + "." + std::to_string(round);
        const std::string signature = copy.sign(message);
        wrong += !verifying_key.verify(message, signature);
        wrong += verifying_key.verify(message + ".", signature);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(SigningKey, reads_the_keys_of_rfc7515_and_rfc8037) {
  const auto ec = SigningKey::import(with(ec_jwk(), "d", kEcD));
  ASSERT_TRUE(ec);
  EXPECT_TRUE(VerifyingKey::import(ec_jwk())->verify("message", ec->sign("message")));
  const auto ed = SigningKey::import(with(ed_jwk(), "d", kEdD));
  ASSERT_TRUE(ed);
  EXPECT_EQ(base64url(ed->sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

TEST(SigningKey, refuses_what_the_public_half_would_be_refused_for) {
  EXPECT_EQ(import_fault_of(json::Value()), KeyFault::kMalformed);
  EXPECT_EQ(import_fault_of(json::Value::Object{{"kty", "oct"}, {"k", "AAAA"}}), KeyFault::kUnsupported);
  EXPECT_EQ(import_fault_of(with(private_jwk(Algorithm::kES256), "use", "enc")), KeyFault::kWrongUse);
  EXPECT_EQ(import_fault_of(with(private_jwk(Algorithm::kES256), "alg", "ES384")), KeyFault::kUnsupported);
  EXPECT_EQ(import_fault_of(with(private_jwk(Algorithm::kES256), "x", kEcX)), KeyFault::kInvalid);
}

TEST(SigningKey, takes_no_number_of_another_rsa_key) {
  const json::Value jwk = private_jwk(Algorithm::kRS256);
  const json::Value other = SigningKey::generate(Algorithm::kRS256).private_jwk();
  for (const char* name : {"n", "d", "p", "q", "dp", "dq", "qi"})
    EXPECT_EQ(import_fault_of(with(jwk, name, *other.find_string(name))), KeyFault::kInvalid) << name;
  EXPECT_EQ(import_fault_of(with(jwk, "e", base64url(std::string("\x01\x00\x03", 3)))), KeyFault::kInvalid);
  // The factors the other way round need their own coefficient.
  const json::Value swapped = with(with(jwk, "p", *jwk.find_string("q")), "q", *jwk.find_string("p"));
  EXPECT_EQ(import_fault_of(swapped), KeyFault::kInvalid);
  // n = 1 * n is a product, too.
  EXPECT_EQ(import_fault_of(with(with(jwk, "p", base64url("\x01")), "q", *jwk.find_string("n"))),
            KeyFault::kInvalid);
}

TEST(SigningKey, needs_to_be_allowed_to_sign) {
  const json::Value jwk = private_jwk(Algorithm::kEdDSA);
  EXPECT_EQ(import_fault_of(with(jwk, "key_ops", json::Value::Array{"sign"})), std::nullopt);
  EXPECT_EQ(import_fault_of(with(jwk, "key_ops", json::Value::Array{"verify"})), KeyFault::kWrongUse);
  EXPECT_EQ(import_fault_of(with(jwk, "key_ops", "sign")), KeyFault::kWrongUse);
}

TEST(SigningKey, checks_the_length_and_range_of_d) {
  const auto with_d = [](Algorithm algorithm, std::string_view d) {
    return with(private_jwk(algorithm), "d", base64url(d));
  };
  for (const Algorithm algorithm : {Algorithm::kES256, Algorithm::kEdDSA}) {
    EXPECT_EQ(import_fault_of(with_d(algorithm, std::string(31, 'd'))), KeyFault::kMalformed);
    EXPECT_EQ(import_fault_of(with_d(algorithm, std::string(33, 'd'))), KeyFault::kMalformed);
  }
  EXPECT_EQ(import_fault_of(with_d(Algorithm::kES256, std::string(32, '\0'))), KeyFault::kInvalid);
  EXPECT_EQ(import_fault_of(with_d(Algorithm::kES256, std::string(32, '\xff'))), KeyFault::kInvalid);
}

TEST(SigningKey, rsa_needs_every_number_and_no_further_primes) {
  const json::Value jwk = private_jwk(Algorithm::kRS256);
  for (const std::string_view name : {"p", "q", "dp", "dq", "qi"}) {
    EXPECT_EQ(import_fault_of(without(jwk, name)), KeyFault::kMalformed) << name;
    EXPECT_EQ(import_fault_of(with(jwk, name, base64url(std::string(1025, '\x7f')))), KeyFault::kInvalid)
        << name;
    EXPECT_EQ(import_fault_of(with(jwk, name, base64url(std::string("\0\1", 2)))), KeyFault::kMalformed)
        << name;
  }
  EXPECT_EQ(import_fault_of(with(jwk, "p", *jwk.find_string("q"))), KeyFault::kInvalid);
  EXPECT_EQ(import_fault_of(with(jwk, "oth", json::Value::Array{})), KeyFault::kUnsupported);
}

}  // namespace
}  // namespace behalf::crypto
