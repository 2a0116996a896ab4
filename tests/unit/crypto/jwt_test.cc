// What the header's type and the claims must say, with each boundary in time (RFC 7519 §4.1, RFC 8725 §3).
#include "crypto/jwt.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "unit/crypto/fixtures.h"

namespace behalf::crypto {
namespace {

using namespace testing;

// Claims with one member written as raw JSON.
std::string with_raw(std::string_view name, std::string_view raw) {
  std::string text = json::write(without(good_claims(), name));
  text.pop_back();
  return text + ",\"" + std::string(name) + "\":" + std::string(raw) + "}";
}
std::optional<JwtFault> read_raw(const Reader& reader, std::string_view name, std::string_view raw) {
  return reader.read(sign_jwt(es256(), "at+jwt", with_raw(name, raw)));
}

TEST(Jwt, what_was_signed_is_what_is_read) {
  for (const Algorithm algorithm : kAllAlgorithms) {
    const SigningKey& key = signing_key(algorithm);
    const auto encoded = EncodedJwt::parse(sign_jwt(key, "at+jwt", json::write(good_claims())));
    ASSERT_TRUE(encoded);
    EXPECT_EQ(encoded->type(), "at+jwt");
    EXPECT_EQ(encoded->unproved_claims(), good_claims());
    EXPECT_EQ(*encoded->header().find_string("kid"), key.key_id());
    EXPECT_EQ(*encoded->header().find_string("alg"), name_of(algorithm));
    EXPECT_EQ(*encoded->header().find_string("typ"), "at+jwt");
    Reader reader;
    Expectations expected = reader.expectations;
    expected.types = reader.types;
    expected.audiences = reader.audiences;
    const VerifyingKey keys[] = {key.verifying_key()};
    const auto verified = verify(*encoded, expected, keys, UnixTime::from_seconds(kNow));
    ASSERT_TRUE(verified);
    EXPECT_EQ(verified->claims(), good_claims());
    EXPECT_EQ(verified->issuer(), "https://issuer.example");
    EXPECT_EQ(verified->subject(), "user-1");
    EXPECT_EQ(verified->jti(), "a1b2");
    EXPECT_EQ(verified->type(), "at+jwt");
    EXPECT_EQ(verified->key_id(), key.key_id());
    EXPECT_EQ(verified->expires_at(), UnixTime::from_seconds(kNow + 60));
    EXPECT_EQ(verified->header(), encoded->header());
  }
}

TEST(Jwt, type_must_be_one_that_is_expected) {
  const auto read_type = [](const Reader& reader, std::string_view member) {
    return reader.read(
        signed_jwt(es256(), R"({"alg":"ES256")" + std::string(member) + "}", json::write(good_claims())));
  };
  Reader reader;
  EXPECT_EQ(read_type(reader, R"(,"typ":"at+jwt")"), std::nullopt);
  EXPECT_EQ(read_type(reader, R"(,"typ":"AT+JWT")"), std::nullopt);
  EXPECT_EQ(read_type(reader, R"(,"typ":"application/at+jwt")"), std::nullopt);
  EXPECT_EQ(read_type(reader, R"(,"typ":"Application/At+Jwt")"), std::nullopt);
  for (const std::string_view member :
       {"", R"(,"typ":"JWT")", R"(,"typ":"at+jwt ")", R"(,"typ":"at")", R"(,"typ":"dpop+jwt")",
        R"(,"typ":"logout+jwt")", R"(,"typ":"application/application/at+jwt")", R"(,"typ":"text/at+jwt")",
        R"(,"cty":"at+jwt")"}) {
    EXPECT_EQ(read_type(reader, member), JwtFault::kType) << member;
  }
  reader.types = {"", "jwt"};
  EXPECT_EQ(read_type(reader, ""), std::nullopt);
  EXPECT_EQ(read_type(reader, R"(,"typ":"JWT")"), std::nullopt);
  EXPECT_EQ(read_type(reader, R"(,"typ":"at+jwt")"), JwtFault::kType);
  reader.types = {};
  EXPECT_EQ(read_type(reader, ""), JwtFault::kType) << "nothing expected, nothing accepted";
}

// A thread keeps the last header it read.
TEST(Jwt, a_header_is_that_of_its_own_token_whatever_was_read_before) {
  const std::string claims = json::write(good_claims());
  const std::string good = signed_jwt(es256(), R"({"alg":"ES256","typ":"at+jwt"})", claims);
  const std::string other = signed_jwt(es256(), R"({"alg":"ES256","typ":"dpop+jwt"})", claims);
  const std::string long_one =
      signed_jwt(es256(), R"({"alg":"ES256","typ":"at+jwt","x":")" + std::string(600, 'x') + "\"}", claims);
  const std::string bad = signed_jwt(es256(), R"({"alg":"ES256","typ":"at+jwt","crit":["exp"]})", claims);
  const std::string untyped = signed_jwt(es256(), R"({"alg":"ES256","typ":""})", claims);
  const Reader reader;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& before : {good, other, long_one, bad, untyped}) {
      (void)reader.read(before);
      EXPECT_EQ(reader.read(good), std::nullopt);
      EXPECT_EQ(reader.read(good), std::nullopt);
      (void)reader.read(before);
      EXPECT_EQ(reader.read(other), JwtFault::kType);
      (void)reader.read(before);
      EXPECT_EQ(reader.read(long_one), std::nullopt);
      (void)reader.read(before);
      EXPECT_EQ(reader.read(bad), JwtFault::kMalformed);
      (void)reader.read(before);
      EXPECT_EQ(reader.read(untyped), JwtFault::kMalformed);
    }
  }
}

TEST(Jwt, sign_leaves_out_an_empty_type) {
  EXPECT_EQ(EncodedJwt::parse(sign_jwt(es256(), "", "{}"))->header().find("typ"), nullptr);
  EXPECT_EQ(EncodedJwt::parse(sign_jwt(es256(), "", "{}"))->type(), "");
}

TEST(Jwt, exp_equal_to_now_is_expired) {
  Reader reader;
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow + 1)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow)), JwtFault::kExpired);
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow - 1)), JwtFault::kExpired);
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", 0)), JwtFault::kExpired);
  EXPECT_EQ(reader.read_claims(without(good_claims(), "exp")), JwtFault::kExpired);
  reader.expectations.leeway = Seconds{60};
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow - 59)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow - 60)), JwtFault::kExpired);
}

TEST(Jwt, nbf_and_iat_may_be_now_but_not_later) {
  for (const std::string_view name : {"nbf", "iat"}) {
    Reader reader;
    EXPECT_EQ(reader.read_claims(with(good_claims(), name, kNow)), std::nullopt) << name;
    EXPECT_EQ(reader.read_claims(with(good_claims(), name, kNow + 1)), JwtFault::kNotYetValid) << name;
    reader.expectations.leeway = Seconds{60};
    EXPECT_EQ(reader.read_claims(with(good_claims(), name, kNow + 60)), std::nullopt) << name;
    EXPECT_EQ(reader.read_claims(with(good_claims(), name, kNow + 61)), JwtFault::kNotYetValid) << name;
    EXPECT_EQ(reader.read_claims(without(good_claims(), name)), std::nullopt) << name;
  }
}

TEST(Jwt, life_is_bounded_from_now_and_from_iat) {
  Reader reader;
  const json::Value undated = without(good_claims(), "iat");
  EXPECT_EQ(reader.read_claims(with(undated, "exp", kNow + 300)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(undated, "exp", kNow + 301)), JwtFault::kTooLong);
  EXPECT_EQ(reader.read_claims(with(with(undated, "iat", kNow - 250), "exp", kNow + 50)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(with(undated, "iat", kNow - 251), "exp", kNow + 50)), JwtFault::kTooLong);
  reader.expectations.leeway = Seconds{60};
  EXPECT_EQ(reader.read_claims(with(undated, "exp", kNow + 360)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(undated, "exp", kNow + 361)), JwtFault::kTooLong);
  EXPECT_EQ(reader.read_claims(with(with(undated, "iat", kNow + 60), "exp", kNow + 360)), std::nullopt);
  EXPECT_EQ(reader.read_claims(with(with(undated, "iat", kNow), "exp", kNow + 301)), JwtFault::kTooLong);
  reader.expectations.longest_life = Seconds{0};
  EXPECT_EQ(reader.read_claims(with(good_claims(), "exp", kNow * 2)), std::nullopt) << "0 means unlimited";
}

TEST(Jwt, times_are_whole_seconds_in_a_sane_range) {
  Reader reader;
  reader.expectations.longest_life = Seconds{0};
  for (const std::string_view name : {"exp", "nbf", "iat"}) {
    for (const std::string_view raw :
         {"\"1900000000\"", "1900000000.0", "1900000000.5", "1.9e9", "-1", "-0.5", "1099511627777",
          "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
          "1e300", "null", "true", "[]", "{}", "[1900000000]"}) {
      EXPECT_EQ(read_raw(reader, name, raw), JwtFault::kClaims) << name << " " << raw;
    }
    for (const std::string_view raw : {"1e999", "-1e999", "01", "+1", "0x10", "NaN", "Infinity", "1."}) {
      EXPECT_EQ(read_raw(reader, name, raw), JwtFault::kMalformed) << name << " " << raw;
    }
  }
  EXPECT_EQ(read_raw(reader, "exp", "1099511627776"), std::nullopt) << "2^40";
  EXPECT_EQ(read_raw(reader, "nbf", "0"), std::nullopt);
}

TEST(Jwt, duplicate_members_in_the_claims_are_refused) {
  Reader reader;
  std::string claims = json::write(good_claims());
  claims.pop_back();
  for (const std::string_view more : {R"("sub":"user-2")", R"("sub":"user-1")", R"("s\u0075b":"user-2")",
                                      R"("x":{"y":1,"y":1})", R"("exp":1)"}) {
    EXPECT_EQ(reader.read(sign_jwt(es256(), "at+jwt", claims + "," + std::string(more) + "}")),
              JwtFault::kMalformed)
        << more;
  }
  for (const std::string_view text : {"", "[]", "null", "7", "\"x\"", "{", "{}{}", "{} ,", "\xff"}) {
    EXPECT_EQ(reader.read(sign_jwt(es256(), "at+jwt", text)), JwtFault::kMalformed) << text;
  }
}

TEST(Jwt, audience_must_be_ours_and_by_default_only_ours) {
  Reader reader;
  const std::string_view ours = R"("https://api.example")",
                         both = R"(["https://api.example","https://other.example"])";
  EXPECT_EQ(read_raw(reader, "aud", ours), std::nullopt);
  EXPECT_EQ(read_raw(reader, "aud", R"(["https://api.example"])"), std::nullopt);
  EXPECT_EQ(read_raw(reader, "aud", both), JwtFault::kAudience);
  EXPECT_EQ(read_raw(reader, "aud", R"(["https://api.example","https://api.example"])"), JwtFault::kAudience);
  reader.expectations.audience_rule = AudienceRule::kContains;
  EXPECT_EQ(read_raw(reader, "aud", ours), std::nullopt);
  EXPECT_EQ(read_raw(reader, "aud", both), std::nullopt);
  reader.expectations.audience_rule = AudienceRule::kSoleText;
  EXPECT_EQ(read_raw(reader, "aud", ours), std::nullopt);
  EXPECT_EQ(read_raw(reader, "aud", R"(["https://api.example"])"), JwtFault::kAudience);
  EXPECT_EQ(read_raw(reader, "aud", both), JwtFault::kAudience);
  for (const AudienceRule rule : {AudienceRule::kSole, AudienceRule::kSoleText, AudienceRule::kContains}) {
    reader.expectations.audience_rule = rule;
    for (const std::string_view raw : {"[]", "\"\"", R"("https://api.example/")", R"("HTTPS://api.example")",
                                       R"(["https://other.example"])", R"("https://api.exampl")"}) {
      EXPECT_EQ(read_raw(reader, "aud", raw), JwtFault::kAudience) << raw;
    }
    for (const std::string_view raw :
         {"null", "7", "{}", R"([["https://api.example"]])", R"({"https://api.example":1})",
          R"(["https://api.example",7])", R"([null,"https://api.example"])"}) {
      EXPECT_EQ(read_raw(reader, "aud", raw), JwtFault::kClaims) << raw;
    }
    EXPECT_EQ(reader.read_claims(without(good_claims(), "aud")), JwtFault::kClaims);
  }
  reader.expectations.audience_rule = AudienceRule::kIgnore;
  EXPECT_EQ(read_raw(reader, "aud", "7"), std::nullopt);
  EXPECT_EQ(reader.read_claims(without(good_claims(), "aud")), std::nullopt);
}

TEST(Jwt, any_of_several_expected_audiences_will_do) {
  Reader reader;
  reader.audiences = {"https://issuer.example", "https://api.example"};
  EXPECT_EQ(reader.read_claims(good_claims()), std::nullopt);
  reader.audiences = {};
  EXPECT_EQ(reader.read_claims(good_claims()), JwtFault::kAudience);
}

TEST(Jwt, issuer_and_subject_are_there_and_exact) {
  Reader reader;
  reader.expectations.subject = "user-1";
  EXPECT_EQ(reader.read_claims(good_claims()), std::nullopt);
  for (const std::string_view issuer :
       {"https://issuer.example/", "https://issuer.exampl", "HTTPS://issuer.example", "x"}) {
    EXPECT_EQ(reader.read_claims(with(good_claims(), "iss", issuer)), JwtFault::kIssuer) << issuer;
  }
  EXPECT_EQ(reader.read_claims(with(good_claims(), "sub", "user-2")), JwtFault::kClaims);
  reader.expectations.subject = reader.expectations.issuer = {};
  EXPECT_EQ(reader.read_claims(with(with(good_claims(), "sub", "x"), "iss", "y")), std::nullopt);
  for (const std::string_view name : {"iss", "sub"}) {
    EXPECT_EQ(reader.read_claims(without(good_claims(), name)), JwtFault::kClaims) << name;
    EXPECT_EQ(reader.read_claims(with(good_claims(), name, std::string(255, 'x'))), std::nullopt) << name;
    for (const json::Value& bad :
         {json::Value(""), json::Value(7), json::Value(), json::Value(std::string(256, 'x')),
          json::Value("a\nb"), json::Value("a\x7f"), json::Value("caf\xc3\xa9"),
          json::Value(json::Value::Array{"x"})}) {
      EXPECT_EQ(reader.read_claims(with(good_claims(), name, bad)), JwtFault::kClaims)
          << name << json::write(bad);
    }
  }
}

TEST(Jwt, jti_is_required_unless_it_is_not_and_always_well_typed) {
  Reader reader;
  EXPECT_EQ(reader.read_claims(without(good_claims(), "jti")), JwtFault::kClaims);
  reader.expectations.require_jti = false;
  EXPECT_EQ(reader.read_claims(without(good_claims(), "jti")), std::nullopt);
  for (const bool is_required : {true, false}) {
    reader.expectations.require_jti = is_required;
    EXPECT_EQ(reader.read_claims(with(good_claims(), "jti", std::string(256, 'j'))), std::nullopt);
    for (const json::Value& bad :
         {json::Value(""), json::Value(7), json::Value(), json::Value(std::string(257, 'j')),
          json::Value("a\tb"), json::Value("\xc3\xa9")}) {
      EXPECT_EQ(reader.read_claims(with(good_claims(), "jti", bad)), JwtFault::kClaims) << json::write(bad);
    }
  }
}

TEST(Jwt, a_wrong_signature_is_not_excused_by_good_claims_nor_hidden_by_bad_ones) {
  const Reader reader;
  const SigningKey other = SigningKey::generate(Algorithm::kES256);
  const std::string_view header = R"({"alg":"ES256","typ":"at+jwt"})";
  EXPECT_EQ(reader.read(signed_jwt(other, header, json::write(good_claims()))), JwtFault::kSignature);
  EXPECT_NE(reader.read(signed_jwt(other, header, json::write(with(good_claims(), "exp", 1)))), std::nullopt);
}

// A DPoP proof says nothing of issuer, subject or expiry (RFC 9449 §4.2); it is young or refused.
struct ProofReader : Reader {
  ProofReader() {
    types = {"dpop+jwt"};
    expectations.kind = JwtKind::kProof;
    expectations.issuer = {};
    expectations.audience_rule = AudienceRule::kIgnore;
    expectations.longest_life = Seconds{60};
    expectations.leeway = Seconds{5};
  }
  std::optional<JwtFault> read_proof(const json::Value& claims) const {
    return read(
        signed_jwt(es256(), R"({"alg":"ES256","typ":"dpop+jwt","kid":"whatever"})", json::write(claims)));
  }
};

json::Value proof_claims(int64_t issued) {
  return json::Value::Object{{"jti", "p1"}, {"htm", "POST"}, {"iat", issued}};
}

TEST(Jwt, a_proof_is_valid_for_its_age_and_no_longer) {
  const ProofReader reader;
  EXPECT_EQ(reader.read_proof(proof_claims(kNow)), std::nullopt);
  EXPECT_EQ(reader.read_proof(proof_claims(kNow + 5)), std::nullopt);
  EXPECT_EQ(reader.read_proof(proof_claims(kNow + 6)), JwtFault::kNotYetValid);
  EXPECT_EQ(reader.read_proof(proof_claims(kNow - 64)), std::nullopt);
  EXPECT_EQ(reader.read_proof(proof_claims(kNow - 65)), JwtFault::kExpired);
  EXPECT_EQ(reader.read_proof(without(proof_claims(kNow), "iat")), JwtFault::kClaims);
  EXPECT_EQ(reader.read_proof(without(proof_claims(kNow), "jti")), JwtFault::kClaims);
  EXPECT_EQ(reader.read_proof(with(proof_claims(kNow), "exp", kNow - 5)), JwtFault::kExpired);
  EXPECT_EQ(reader.read_proof(with(proof_claims(kNow), "iss", 7)), JwtFault::kClaims);
  EXPECT_EQ(reader.read(sign_jwt(es256(), "at+jwt", json::write(proof_claims(kNow)))), JwtFault::kType);
  EXPECT_EQ(Reader().read_claims(proof_claims(kNow)), JwtFault::kClaims) << "a proof is no token";
}

TEST(Jwt, a_proof_ends_a_life_after_it_was_issued) {
  const auto jwt = EncodedJwt::parse(
      signed_jwt(es256(), R"({"alg":"ES256","typ":"dpop+jwt"})", json::write(proof_claims(kNow - 10))));
  ASSERT_TRUE(jwt);
  const ProofReader reader;
  Expectations expected = reader.expectations;
  expected.types = reader.types;
  const auto verified = verify(*jwt, expected, reader.keys, UnixTime::from_seconds(kNow));
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->expires_at(), UnixTime::from_seconds(kNow + 50));
  EXPECT_EQ(verified->subject(), "");
}

TEST(Jwt, many_threads_sign_and_verify_under_shared_keys) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Reader reader;
      for (int round = 0; round < 50; ++round) wrong += reader.read_claims(good_claims()).has_value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Jwt, every_fault_is_described) {
  for (const JwtFault fault :
       {JwtFault::kMalformed, JwtFault::kAlgorithm, JwtFault::kUnknownKey, JwtFault::kSignature,
        JwtFault::kType, JwtFault::kExpired, JwtFault::kNotYetValid, JwtFault::kTooLong, JwtFault::kIssuer,
        JwtFault::kAudience, JwtFault::kClaims}) {
    EXPECT_FALSE(describe(fault).empty());
  }
}

TEST(Jwt, whether_it_has_expired_may_be_asked_elsewhere) {
  const UnixTime now = UnixTime::from_seconds(1'000'000);
  const auto moment = [&](int64_t expires) {
    json::Value claims;
    claims.set("exp", expires);
    return while_unexpired(claims, now);
  };
  EXPECT_EQ(moment(1'000'001), now);
  EXPECT_EQ(moment(1'000'000), UnixTime::from_seconds(999'999)) << "exp equal to now is expired";
  EXPECT_EQ(moment(500), UnixTime::from_seconds(499));
  // Nothing is proved yet: these are not calculated with.
  for (const int64_t absurd : {INT64_MIN, int64_t{-1}, INT64_MAX}) EXPECT_EQ(moment(absurd), now);
  EXPECT_EQ(while_unexpired(json::Value(), now), now);
}

}  // namespace
}  // namespace behalf::crypto
