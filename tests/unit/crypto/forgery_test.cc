// Attacks on the signature and on the form of a JWS, after RFC 8725 and the cases Wycheproof collects. Each
// starts from a JWT that is accepted and changes one thing.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <memory>

#include "crypto/hash.h"
#include "unit/crypto/fixtures.h"

namespace behalf::crypto {
namespace {

using namespace testing;

std::string good_header() { return R"({"alg":"ES256","kid":")" + es256().key_id() + R"(","typ":"at+jwt"})"; }
std::string good_text() { return json::write(good_claims()); }
std::string good_jwt() { return signed_jwt(es256(), good_header(), good_text()); }

// The good parts under other signature bytes.
std::string with_signature(std::string_view signature) {
  return signing_input(good_header(), good_text()) + "." + base64url(signature);
}
std::string good_signature() { return es256().sign(signing_input(good_header(), good_text())); }

std::string order() {
  std::string n;
  for (const int byte :
       {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51}) {
    n.push_back(static_cast<char>(byte));
  }
  return n;
}

TEST(Forgery, the_starting_point_is_accepted) {
  EXPECT_EQ(Reader().read(good_jwt()), std::nullopt);
  EXPECT_EQ(Reader().read(with_signature(good_signature())), std::nullopt);
}

TEST(Forgery, the_algorithm_is_the_keys_and_never_the_headers) {
  for (const std::string_view name : {"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "es256", "ES256K",
                                      "ES384", "RS256", "PS256", "EdDSA", "ES256 "}) {
    const std::string header = R"({"alg":")" + std::string(name) + R"(","typ":"at+jwt"})";
    const std::string input = signing_input(header, good_text());
    EXPECT_EQ(Reader().read(input + "."), JwtFault::kAlgorithm) << name;
    EXPECT_EQ(Reader().read(signed_jwt(es256(), header, good_text())), JwtFault::kAlgorithm) << name;
  }
}

TEST(Forgery, hmac_under_the_public_key_is_no_signature) {
  const SigningKey& rsa = signing_key(Algorithm::kRS256);
  Reader reader;
  reader.keys = {rsa.verifying_key()};
  const std::string input = signing_input(R"({"alg":"HS256","typ":"at+jwt"})", good_text());
  for (const std::string& known : {json::write(rsa.public_jwk()), *rsa.public_jwk().find_string("n"),
                                   *decode_base64url(*rsa.public_jwk().find_string("n"))}) {
    const Digest tag = KeyedHash(Secret(known))(input);
    EXPECT_EQ(reader.read(input + "." + base64url(tag)), JwtFault::kAlgorithm);
  }
}

TEST(Forgery, another_algorithm_of_the_same_rsa_key_is_refused) {
  // One RSA key, published for RS256; the same numbers sign with PS256.
  const json::Value numbers = signing_key(Algorithm::kRS256).private_jwk();
  const auto pss = SigningKey::import(with(numbers, "alg", "PS256"));
  ASSERT_TRUE(pss);
  Reader reader;
  reader.keys = {signing_key(Algorithm::kRS256).verifying_key()};
  EXPECT_EQ(reader.read(sign_jwt(signing_key(Algorithm::kRS256), "at+jwt", good_text())), std::nullopt);
  EXPECT_EQ(reader.read(sign_jwt(*pss, "at+jwt", good_text())), JwtFault::kAlgorithm);
  EXPECT_EQ(reader.read(signed_jwt(*pss, R"({"alg":"RS256","typ":"at+jwt"})", good_text())),
            JwtFault::kSignature);
}

TEST(Forgery, es256_is_two_scalars_in_range_and_nothing_else) {
  const std::string good = good_signature();
  const std::string r = good.substr(0, 32), s = good.substr(32), zero(32, '\0'), n = order(),
                    most(32, '\xff');
  std::string one = zero;
  one.back() = 1;
  std::string above = n;
  above.back() = static_cast<char>(above.back() + 1);
  const std::string bad[] = {zero + zero,
                             zero + s,
                             r + zero,
                             n + s,
                             r + n,
                             n + n,
                             one + one,
                             above + s,
                             r + above,
                             most + s,
                             r + most,
                             s + r,
                             r + r,
                             "",
                             r,
                             good + std::string(1, '\0'),
                             std::string(1, '\0') + good,
                             good.substr(0, 63),
                             good.substr(1),
                             good + good,
                             std::string(1000, 'x')};
  for (const std::string& signature : bad) {
    EXPECT_EQ(Reader().read(with_signature(signature)), JwtFault::kSignature) << hex(signature);
  }
}

TEST(Forgery, es256_in_der_is_refused) {
  const std::string good = good_signature();
  std::string integers;
  for (const std::string& scalar : {good.substr(0, 32), good.substr(32)}) {
    const bool looks_negative = (static_cast<unsigned char>(scalar[0]) & 0x80) != 0;
    integers += {'\x02', static_cast<char>(looks_negative ? 33 : 32)};
    if (looks_negative) integers.push_back('\0');
    integers += scalar;
  }
  const std::string der = std::string{'\x30', static_cast<char>(integers.size())} + integers;
  EXPECT_EQ(Reader().read(with_signature(der)), JwtFault::kSignature);
}

TEST(Forgery, es256_scalars_of_every_encoded_length_work) {
  // One signature in 128 has a scalar with a leading zero byte; the conversion from and to DER must not lose
  // it.
  int short_ones = 0;
  for (int i = 0; i < 1200; ++i) {
    const std::string message = std::to_string(i);
    const std::string signature = es256().sign(message);
    ASSERT_EQ(signature.size(), 64U);
    ASSERT_TRUE(es256().verifying_key().verify(message, signature));
    short_ones += signature[0] == 0 || signature[32] == 0;
  }
  EXPECT_GT(short_ones, 0);
}

TEST(Forgery, every_flipped_bit_of_a_signature_is_noticed) {
  for (const Algorithm algorithm : kAllAlgorithms) {
    const SigningKey& key = signing_key(algorithm);
    const std::string good = key.sign("message");
    for (size_t byte = 0; byte < good.size(); byte += 3) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << (byte % 8)));
      EXPECT_FALSE(key.verifying_key().verify("message", bad)) << name_of(algorithm) << " " << byte;
    }
    EXPECT_FALSE(key.verifying_key().verify("message", good.substr(1)));
    EXPECT_FALSE(key.verifying_key().verify("message", good + std::string(1, '\0')));
    EXPECT_FALSE(key.verifying_key().verify("message", std::string(1, '\0') + good));
    EXPECT_FALSE(key.verifying_key().verify("message", ""));
    EXPECT_TRUE(key.verifying_key().verify("message", good));
  }
}

TEST(Forgery, eddsa_with_s_plus_the_group_order_is_refused) {
  // L, little-endian (RFC 8032 §5.1); S + L satisfies the equation too, and would be a second signature.
  const unsigned char group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                         0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                         0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  const SigningKey& key = signing_key(Algorithm::kEdDSA);
  std::string signature = key.sign("message");
  unsigned carry = 0;
  for (size_t i = 0; i < 32; ++i) {
    const unsigned sum = static_cast<unsigned char>(signature[32 + i]) + group_order[i] + carry;
    signature[32 + i] = static_cast<char>(sum & 255);
    carry = sum >> 8;
  }
  ASSERT_EQ(carry, 0U);
  EXPECT_FALSE(key.verifying_key().verify("message", signature));
}

// A PS256 signature with a salt of our choosing.
std::string pss_signature(const json::Value& jwk, std::string_view message, int salt_bytes) {
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(),
                                                                                OSSL_PARAM_BLD_free);
  std::vector<std::unique_ptr<BIGNUM, decltype(&BN_free)>> numbers;
  for (const auto& [name, parameter] :
       {std::pair{"n", OSSL_PKEY_PARAM_RSA_N}, std::pair{"e", OSSL_PKEY_PARAM_RSA_E},
        std::pair{"d", OSSL_PKEY_PARAM_RSA_D}}) {
    const std::string bytes = *decode_base64url(*jwk.find_string(name));
    numbers.emplace_back(BN_bin2bn(as_bytes(bytes).data(), static_cast<int>(bytes.size()), nullptr), BN_free);
    OSSL_PARAM_BLD_push_BN(builder.get(), parameter, numbers.back().get());
  }
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(
      OSSL_PARAM_BLD_to_param(builder.get()), OSSL_PARAM_free);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> maker(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* raw = nullptr;
  EVP_PKEY_fromdata_init(maker.get());
  EVP_PKEY_fromdata(maker.get(), &raw, EVP_PKEY_KEYPAIR, parameters.get());
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(raw, EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* options = nullptr;
  EVP_DigestSignInit(context.get(), &options, EVP_sha256(), nullptr, key.get());
  EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
  EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt_bytes);
  std::string signature(256, '\0');
  size_t length = signature.size();
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                 as_bytes(message).data(), message.size());
  return signature;
}

TEST(Forgery, ps256_has_a_salt_of_32_bytes) {
  const SigningKey& key = signing_key(Algorithm::kPS256);
  const auto verifies = [&](int salt_bytes) {
    return key.verifying_key().verify("message", pss_signature(key.private_jwk(), "message", salt_bytes));
  };
  EXPECT_TRUE(verifies(32));
  for (const int salt_bytes : {0, 20, 31, 33, 64, 222}) EXPECT_FALSE(verifies(salt_bytes)) << salt_bytes;
}

TEST(Forgery, changed_parts_do_not_fit_the_signature) {
  const std::string header = base64url(good_header()), claims = base64url(good_text()),
                    signature = base64url(good_signature());
  const std::string other = base64url(json::write(with(good_claims(), "sub", "user-2")));
  EXPECT_EQ(Reader().read(header + "." + other + "." + signature), JwtFault::kSignature);
  const std::string spaced = base64url(" " + good_header());
  EXPECT_EQ(Reader().read(spaced + "." + claims + "." + signature), JwtFault::kSignature);
}

TEST(Forgery, the_compact_form_has_one_spelling) {
  const std::string good = good_jwt();
  const std::string header = base64url(good_header()), claims = base64url(good_text());
  const std::string signature = good.substr(good.rfind('.') + 1);
  const std::string parts = header + "." + claims + ".";
  // 64 bytes leave four unused bits in the last letter: it is one of A, Q, g, w.
  std::string unused_bits = signature;
  unused_bits.back() = static_cast<char>(unused_bits.back() + 1);
  std::string standard = signature;
  standard[5] = '+';
  std::string slash = signature;
  slash[5] = '/';
  const std::string bad[] = {"",
                             ".",
                             "..",
                             "...",
                             header,
                             header + "." + claims,
                             "." + claims + "." + signature,
                             header + ".." + signature,
                             good + ".",
                             "." + good,
                             good + "." + signature,
                             parts + signature + "=",
                             parts + signature + "==",
                             header + "=." + claims + "." + signature,
                             parts + unused_bits,
                             parts + standard,
                             parts + slash,
                             parts + signature.substr(0, signature.size() - 1),  // 85 letters encode nothing
                             good + "\n",
                             " " + good,
                             good + std::string(1, '\0'),
                             header + "\n." + claims + "." + signature,
                             "Bearer " + good,
                             "\xef\xbb\xbf" + good,
                             R"({"payload":")" + claims + R"("})"};
  for (const std::string& text : bad) EXPECT_EQ(Reader().read(text), JwtFault::kMalformed) << text;
}

TEST(Forgery, headers_that_change_the_meaning_are_refused) {
  const auto with_members = [](std::string_view members) {
    return signed_jwt(es256(), R"({"alg":"ES256","typ":"at+jwt",)" + std::string(members) + "}", good_text());
  };
  for (const std::string_view members :
       {R"("crit":["exp"])", R"("crit":[])", R"("crit":null)", R"("crit":["b64"],"b64":false)",
        R"("b64":false)", R"("b64":true)", R"("zip":"DEF")", R"("enc":"A256GCM")", R"("kid":7)",
        R"("kid":null)", R"("kid":["a"])", R"("alg":"ES256")", R"("alg":"none")", R"("\u0061lg":"none")",
        R"("x":1,"x":1)", R"("x":{"y":1,"y":2})"}) {
    EXPECT_EQ(Reader().read(with_members(members)), JwtFault::kMalformed) << members;
  }
  for (const std::string_view header :
       {R"({"typ":"at+jwt"})", R"({"alg":null})", R"({"alg":["ES256"]})", R"({"alg":256})", "[]", "null", "1",
        R"("ES256")", R"({"alg":"ES256","typ":7})", R"({"alg":"ES256","typ":""})",
        R"({"alg":"ES256","typ":"application/"})", R"({"alg":"ES256","typ":"at+jwt"} x)",
        R"({"alg":"ES256","typ":"at+jwt",})", "{\"alg\":\"ES256\",\"typ\":\"\xff\"}"}) {
    EXPECT_EQ(Reader().read(signed_jwt(es256(), header, good_text())), JwtFault::kMalformed) << header;
  }
}

TEST(Forgery, keys_offered_in_the_header_are_ignored) {
  const SigningKey mine = SigningKey::generate(Algorithm::kES256);
  for (const std::string& members :
       {R"("jwk":)" + json::write(mine.public_jwk()), std::string(R"("jku":"https://attacker.example/keys")"),
        std::string(R"("x5u":"https://attacker.example/cert")"),
        std::string(R"("x5c":["AAAA"],"x5t":"AAAA")")}) {
    const std::string header = R"({"alg":"ES256","typ":"at+jwt",)" + members + "}";
    EXPECT_EQ(Reader().read(signed_jwt(mine, header, good_text())), JwtFault::kSignature) << members;
    EXPECT_EQ(Reader().read(signed_jwt(es256(), header, good_text())), std::nullopt) << members;
  }
}

TEST(Forgery, kid_is_compared_as_it_is) {
  Reader reader;
  reader.keys.push_back(
      SigningKey::import(with(SigningKey::generate(Algorithm::kES256).private_jwk(), "kid", "second"))
          ->verifying_key());
  for (const std::string& key_id :
       {std::string(), std::string("../../dev/null"), std::string("x' OR '1'='1"), es256().key_id() + " ",
        std::string("Second"), std::string("secon"), std::string(5000, 'k'), es256().key_id().substr(1)}) {
    std::string header = R"({"alg":"ES256","typ":"at+jwt","kid":)";
    json::append_string(header, key_id);
    EXPECT_EQ(reader.read(signed_jwt(es256(), header + "}", good_text())), JwtFault::kUnknownKey) << key_id;
  }
  EXPECT_EQ(reader.read(signed_jwt(es256(), R"({"alg":"ES256","typ":"at+jwt","kid":"second"})", good_text())),
            JwtFault::kSignature)
      << "a right signature under the name of another key";
  EXPECT_EQ(reader.read(good_jwt()), std::nullopt);
}

TEST(Forgery, keys_are_chosen_from_our_own_set) {
  Reader reader;
  const std::string nameless = R"({"alg":"ES256","typ":"at+jwt"})";
  EXPECT_EQ(reader.read(signed_jwt(SigningKey::generate(Algorithm::kES256), nameless, good_text())),
            JwtFault::kSignature);
  reader.keys.clear();
  EXPECT_EQ(reader.read(good_jwt()), JwtFault::kUnknownKey);
  EXPECT_EQ(reader.read(signed_jwt(es256(), nameless, good_text())), JwtFault::kUnknownKey);
  for (const Algorithm algorithm : kAllAlgorithms) {
    if (algorithm != Algorithm::kES256) reader.keys.push_back(signing_key(algorithm).verifying_key());
  }
  EXPECT_EQ(reader.read(signed_jwt(es256(), nameless, good_text())), JwtFault::kAlgorithm);
  reader.keys.push_back(SigningKey::generate(Algorithm::kES256).verifying_key());
  EXPECT_EQ(reader.read(signed_jwt(es256(), nameless, good_text())), JwtFault::kSignature);
  reader.keys.push_back(es256().verifying_key());
  EXPECT_EQ(reader.read(signed_jwt(es256(), nameless, good_text())), std::nullopt)
      << "the second of two without kid";
  const auto twin =
      SigningKey::import(with(signing_key(Algorithm::kEdDSA).private_jwk(), "kid", es256().key_id()));
  ASSERT_TRUE(twin);
  reader.keys.insert(reader.keys.begin(), twin->verifying_key());
  EXPECT_EQ(reader.read(good_jwt()), std::nullopt) << "one kid for two algorithms";
}

TEST(Forgery, large_and_deep_input_is_refused_early) {
  EXPECT_EQ(Reader().read(std::string(1 << 20, 'A')), JwtFault::kMalformed);
  EXPECT_EQ(Reader().read(std::string(1 << 20, '.')), JwtFault::kMalformed);
  const auto padded = [](size_t bytes) {
    return sign_jwt(es256(), "at+jwt", json::write(with(good_claims(), "pad", std::string(bytes, 'p'))));
  };
  const size_t without_pad = padded(0).size();
  EXPECT_EQ(Reader().read(padded((kMaxJwtBytes - without_pad) * 3 / 4 - 4)), std::nullopt);
  EXPECT_EQ(Reader().read(padded((kMaxJwtBytes - without_pad) * 3 / 4 + 4)), JwtFault::kMalformed);
  const auto nested = [](size_t depth) {
    std::string claims = good_text();
    claims.pop_back();
    return signed_jwt(es256(), good_header(),
                      claims + ",\"deep\":" + std::string(depth, '[') + std::string(depth, ']') + "}");
  };
  EXPECT_EQ(Reader().read(nested(10)), std::nullopt);
  for (const size_t depth : {17U, 100U, 5000U})
    EXPECT_EQ(Reader().read(nested(depth)), JwtFault::kMalformed) << depth;
}

}  // namespace
}  // namespace behalf::crypto
