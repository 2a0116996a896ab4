// What the verifier accepts, and why it refuses what it does not: one token bent at one place a case (RFC
// 9068 §4, RFC 8725 §3, RFC 8693 §4.1), new and seen before.
#include "behalf/verifier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

#include "behalf/keys.h"
#include "behalf/revocations.h"
#include "unit/sdk/fixtures.h"

namespace behalf::sdk {
namespace {

using namespace testing;
using crypto::testing::signed_jwt;

struct Api {
  explicit Api(VerifierOptions options = api_options(), Milliseconds max_age = 0)
      : revocations(max_age), verifier(std::move(options), keys, &revocations) {}

  // Asked twice: a token seen before is judged as the new one was.
  std::string judge(std::string_view token, Milliseconds now = kNowMs) {
    const std::string first = word(verifier.verify(token, now));
    EXPECT_EQ(word(verifier.verify(token, now)), first);
    return first;
  }
  std::string read(const json::Value& claims, Milliseconds now = kNowMs) { return judge(sign(claims), now); }
  static std::string word(const Verdict& verdict) {
    return verdict ? "accepted" : std::string(name_of(verdict.refusal));
  }

  KeySource keys = KeySource::fixed(jwks_of({issuer_key()}));
  Revocations revocations;
  Verifier verifier;
};

TEST(Verifier, reads_who_stands_behind_a_token) {
  Api api;
  json::Value claims = delegated_claims();
  claims.set("via", json::Value::Array{"first-app"});
  claims.set("auth_time", kNow - 60);
  claims.set("acr", "urn:mfa");
  claims.set("amr", json::Value::Array{"pwd", "otp"});
  const Verdict verdict = api.verifier.verify(sign(claims), kNowMs);
  ASSERT_TRUE(verdict) << name_of(verdict.refusal);
  const Delegation& delegation = *verdict.delegation;
  EXPECT_EQ(delegation.issuer, kIssuer);
  EXPECT_EQ(delegation.subject, "alice");
  EXPECT_EQ(delegation.subject_profile, "user");
  EXPECT_EQ(delegation.client, "app");
  EXPECT_EQ(delegation.resource, kApi);
  EXPECT_EQ(delegation.grant, "grant-1");
  EXPECT_EQ(delegation.token_id, "token-1");
  EXPECT_EQ(delegation.key_id, issuer_key().key_id());
  EXPECT_EQ(delegation.scopes, (std::vector<std::string>{"mail.read", "mail.send"}));
  EXPECT_TRUE(delegation.has_scope("mail.send"));
  EXPECT_FALSE(delegation.has_scope("mail"));
  EXPECT_EQ(delegation.via, std::vector<std::string>{"first-app"});
  ASSERT_EQ(delegation.chain.size(), 2u);
  EXPECT_EQ(delegation.actor()->subject, "mail-agent");
  EXPECT_EQ(delegation.actor()->profile, "ai_agent");
  EXPECT_EQ(delegation.actor()->issuer, kIssuer);
  EXPECT_EQ(delegation.chain[1].subject, "planner");
  EXPECT_TRUE(delegation.names_in_chain("planner"));
  EXPECT_FALSE(delegation.names_in_chain("app")) << "a client is never an actor";
  EXPECT_EQ(delegation.issued_at, kNowMs) << "no ordered id: the start of the second of iat";
  EXPECT_EQ(delegation.expires_at, kNowMs + 600'000);
  EXPECT_EQ(delegation.authenticated_at, kNowMs - 60'000);
  EXPECT_EQ(delegation.acr, "urn:mfa");
  EXPECT_EQ(delegation.amr, (std::vector<std::string>{"pwd", "otp"}));
  EXPECT_FALSE(delegation.is_bound);
}

TEST(Verifier, a_token_without_an_actor_is_the_subjects_own) {
  Api api;
  const Verdict verdict = api.verifier.verify(sign(without(delegated_claims(), "act")), kNowMs);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict.delegation->actor(), nullptr);
}

TEST(Verifier, takes_the_millisecond_of_issue_from_an_ordered_id_that_agrees_with_iat) {
  Api api;
  // 1'800'000'000'123 ms and one second later, in Crockford base32.
  const auto issued_at = [&](std::string_view id) {
    const Verdict verdict = api.verifier.verify(sign(with(delegated_claims(), "jti", id)), kNowMs);
    return verdict ? verdict.delegation->issued_at : -1;
  };
  EXPECT_EQ(issued_at("01mcc5rm3v0123456789abcdef"), kNowMs + 123);
  EXPECT_EQ(issued_at("01mcc5rm3v0123456789abcdeu"), kNowMs) << "u is no letter of the alphabet";
  EXPECT_EQ(issued_at("01mcc5rm3v0123456789abcde"), kNowMs) << "one too short";
  EXPECT_EQ(issued_at("01mcc5rn330123456789abcdef"), kNowMs) << "another second than iat";
}

TEST(Verifier, refuses_what_is_not_an_access_token_for_this_api) {  // RFC 9068 §4, I-02, I-03, I-13
  const json::Value good = delegated_claims();
  const crypto::SigningKey stranger = crypto::SigningKey::generate(crypto::Algorithm::kES256);
  struct Case {
    std::string_view name;
    std::string token;
    std::string_view verdict;
  };
  const auto raw = [&](std::string_view member) {
    std::string claims = json::write(good);
    claims.pop_back();
    return crypto::sign_jwt(issuer_key(), "at+jwt", claims + "," + std::string(member) + "}");
  };
  const std::string header = R"({"alg":"ES256","typ":"at+jwt","kid":")" + issuer_key().key_id() + '"';
  std::string bent = sign(good);
  bent[bent.size() - 20] = bent[bent.size() - 20] == 'A' ? 'B' : 'A';
  const std::vector<Case> cases = {
      {"good", sign(good), "accepted"},
      {"typ in full", sign(good, "application/at+jwt"), "accepted"},
      {"typ in capitals", sign(good, "AT+JWT"), "accepted"},
      {"an ID token", sign(good, "JWT"), "type"},
      {"no typ", sign(good, ""), "type"},
      {"an actor token", sign(good, "actor+jwt"), "type"},
      {"a security event", sign(good, "secevent+jwt"), "type"},
      {"other issuer", sign(with(good, "iss", "https://as.example/")), "issuer"},
      {"no issuer", sign(without(good, "iss")), "malformed"},
      {"issuer is a list", sign(with(good, "iss", json::Value::Array{std::string(kIssuer)})), "malformed"},
      {"other audience", sign(with(good, "aud", "https://other.example")), "audience"},
      {"audience differs in a slash", sign(with(good, "aud", "https://api.example/")), "audience"},
      {"one of several audiences", sign(with(good, "aud", json::Value::Array{"x", std::string(kApi)})),
       "accepted"},
      {"no audience", sign(without(good, "aud")), "malformed"},
      {"empty audience list", sign(with(good, "aud", json::Value::Array{})), "audience"},
      {"audience is a number", sign(with(good, "aud", 7)), "malformed"},
      {"no sub", sign(without(good, "sub")), "malformed"},
      {"empty sub", sign(with(good, "sub", "")), "malformed"},
      {"sub with a line break", sign(with(good, "sub", "alice\r\nX: y")), "malformed"},
      {"no client_id", sign(without(good, "client_id")), "malformed"},
      {"client_id is null", sign(with(good, "client_id", json::Value())), "malformed"},
      {"no jti", sign(without(good, "jti")), "malformed"},
      {"no iat", sign(without(good, "iat")), "malformed"},
      {"no exp", sign(without(good, "exp")), "malformed"},
      {"exp is a text", sign(with(good, "exp", "1800000600")), "malformed"},
      {"exp has a fraction", sign(with(good, "exp", 1800000600.5)), "malformed"},
      {"scope is a list", sign(with(good, "scope", json::Value::Array{"mail.read"})), "malformed"},
      {"scope with two spaces", sign(with(good, "scope", "a  b")), "malformed"},
      {"scope ends in a space", sign(with(good, "scope", "a ")), "malformed"},
      {"scope with a quote", sign(with(good, "scope", "a\"b")), "malformed"},
      {"empty scope", sign(with(good, "scope", "")), "accepted"},
      {"via is a text", sign(with(good, "via", "app")), "malformed"},
      {"via holds a number", sign(with(good, "via", json::Value::Array{1})), "malformed"},
      {"amr is a text", sign(with(good, "amr", "pwd")), "malformed"},
      {"auth_time is a text", sign(with(good, "auth_time", "1")), "malformed"},
      {"grant_id is a number", sign(with(good, "grant_id", 1)), "malformed"},
      {"doubled sub", raw(R"("sub":"bob")"), "malformed"},
      {"doubled act", raw(R"("act":{"sub":"other"})"), "malformed"},
      {"a stranger's key", sign(good, "at+jwt", stranger), "signature"},
      {"bent signature", bent, "signature"},
      {"known kid, stranger's key", signed_jwt(stranger, header + "}", json::write(good)), "signature"},
      {"alg none",
       crypto::testing::signing_input(R"({"alg":"none","typ":"at+jwt"})", json::write(good)) + ".",
       "signature"},
      {"alg HS256", signed_jwt(issuer_key(), R"({"alg":"HS256","typ":"at+jwt"})", json::write(good)),
       "signature"},
      {"crit", signed_jwt(issuer_key(), header + R"(,"crit":["x"],"x":1})", json::write(good)), "malformed"},
      {"doubled kid", signed_jwt(issuer_key(), header + R"(,"kid":"x"})", json::write(good)), "malformed"},
      {"five parts", sign(good) + ".a.b", "malformed"},
      {"padded", sign(good) + "=", "malformed"},
      {"empty", "", "malformed"},
      {"too long", std::string(20'000, 'a'), "malformed"},
      {"claims are a list", sign(json::Value::Array{}), "malformed"},
      {"bound to a key", sign(with(good, "cnf", json::Value::Object{{"jkt", "abc"}})), "proof_required"},
      {"bound to a certificate", sign(with(good, "cnf", json::Value::Object{{"x5t#S256", "abc"}})),
       "proof_required"},
      {"bound to something unknown", sign(with(good, "cnf", json::Value::Object{{"new", 1}})),
       "proof_required"},
      {"bound to nothing", sign(with(good, "cnf", json::Value::Object{})), "proof_required"},
      {"cnf is null", sign(with(good, "cnf", json::Value())), "malformed"},
      {"jkt is a number", sign(with(good, "cnf", json::Value::Object{{"jkt", 1}})), "malformed"},
  };
  Api api;
  for (const Case& c : cases) EXPECT_EQ(api.judge(c.token), c.verdict) << c.name;
}

TEST(Verifier, refuses_a_chain_of_another_form) {  // RFC 8693 §4.1, I-19
  Api api;
  const auto read = [&](json::Value chain) {
    return api.read(with(delegated_claims(), "act", std::move(chain)));
  };
  EXPECT_EQ(read(json::Value::Object{{"sub", "agent"}}), "accepted") << "sub alone is enough (D-26)";
  EXPECT_EQ(read("agent"), "actor_malformed");
  EXPECT_EQ(read(json::Value::Array{act("agent")}), "actor_malformed");
  EXPECT_EQ(read(json::Value()), "actor_malformed") << "null is no chain";
  EXPECT_EQ(read(false), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"iss", "x"}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", ""}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", 7}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", "a\nb"}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", "a"}, {"iss", 7}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", "a"}, {"sub_profile", 7}}), "actor_malformed");
  EXPECT_EQ(read(json::Value::Object{{"sub", "a"}, {"act", "b"}}), "actor_malformed") << "deep inside";
}

TEST(Verifier, a_chain_may_be_as_long_as_is_said_and_no_longer) {
  for (const size_t longest : {0u, 1u, 3u, 10u}) {
    VerifierOptions options = api_options();
    options.max_chain = longest;
    Api api(options);
    json::Value chain;
    json::Value claims = without(delegated_claims(), "act");
    for (size_t hops = 0; hops <= longest + 1; ++hops) {
      EXPECT_EQ(api.read(claims), hops <= longest ? "accepted" : "actor_malformed")
          << hops << " of " << longest;
      chain = act("agent-" + std::to_string(hops), chain);
      claims.set("act", chain);
    }
  }
}

TEST(Verifier, time_has_edges) {  // RFC 9068 §4
  Api api;
  const json::Value claims = delegated_claims();  // 600 s from kNow
  const std::string seen = sign(claims);
  EXPECT_EQ(api.judge(seen), "accepted");
  EXPECT_EQ(api.judge(seen, kNowMs + 599'999), "accepted");
  EXPECT_EQ(api.judge(seen, kNowMs + 600'000), "expired") << "seen before";
  EXPECT_EQ(api.read(claims, kNowMs + 599'999), "accepted");
  EXPECT_EQ(api.read(claims, kNowMs + 600'000), "expired");
  EXPECT_EQ(api.read(claims, kNowMs + 601'000), "expired");
  EXPECT_EQ(api.read(claims, kNowMs + 100'000'000), "expired");
  EXPECT_EQ(api.read(with(claims, "exp", 0)), "not_yet_valid") << "ended before it began";
  EXPECT_EQ(api.read(with(claims, "nbf", kNow + 30)), "accepted");
  EXPECT_EQ(api.read(with(claims, "nbf", kNow + 31)), "not_yet_valid");
  EXPECT_EQ(api.read(with(claims, "iat", kNow + 30)), "accepted");
  EXPECT_EQ(api.read(with(claims, "iat", kNow + 31)), "not_yet_valid");

  VerifierOptions lenient = api_options();
  lenient.expiry_leeway = 5'000;
  lenient.leeway = 0;
  Api other(lenient);
  EXPECT_EQ(other.read(claims, kNowMs + 604'999), "accepted");
  EXPECT_EQ(other.read(claims, kNowMs + 605'000), "expired");
  EXPECT_EQ(other.read(with(claims, "nbf", kNow + 1)), "not_yet_valid");
}

TEST(Verifier, says_whose_token_it_was_only_when_the_signature_is_right) {
  Api api;
  const Verdict expired = api.verifier.verify(sign(delegated_claims()), kNowMs + 700'000);
  EXPECT_EQ(expired.refusal, Refusal::kExpired);
  ASSERT_NE(expired.refused_delegation, nullptr);
  EXPECT_EQ(expired.refused_delegation->subject, "alice");
  const auto stranger = crypto::SigningKey::generate(crypto::Algorithm::kES256);
  const std::string header = R"({"alg":"ES256","typ":"at+jwt","kid":")" + issuer_key().key_id() + "\"}";
  const Verdict forged =
      api.verifier.verify(signed_jwt(stranger, header, json::write(delegated_claims())), kNowMs + 700'000);
  EXPECT_EQ(forged.refusal, Refusal::kSignature);
  EXPECT_EQ(forged.refused_delegation, nullptr);
}

TEST(Verifier, stops_at_each_kind_of_revocation_a_token_seen_before_too) {
  const json::Value claims = with(delegated_claims(), "via", json::Value::Array{"first-app"});
  struct Case {
    RevokedKind kind;
    std::string id;
    Milliseconds at;
    std::string_view verdict;
  };
  const std::vector<Case> cases = {
      {RevokedKind::kToken, "token-1", 0, "revoked"},
      {RevokedKind::kToken, "token-2", kNowMs, "accepted"},
      {RevokedKind::kToken, "grant-1", kNowMs, "accepted"},
      {RevokedKind::kGrant, "grant-1", 0, "revoked"},
      {RevokedKind::kGrant, "alice", kNowMs, "accepted"},
      {RevokedKind::kKey, issuer_key().key_id(), 0, "revoked"},
      {RevokedKind::kPrincipal, "alice", kNowMs, "revoked"},
      {RevokedKind::kPrincipal, "app", kNowMs, "revoked"},
      {RevokedKind::kPrincipal, "first-app", kNowMs, "revoked"},
      {RevokedKind::kPrincipal, "mail-agent", kNowMs, "revoked"},
      {RevokedKind::kPrincipal, "planner", kNowMs, "revoked"},
      {RevokedKind::kPrincipal, "bob", kNowMs, "accepted"},
      {RevokedKind::kPrincipal, "planner", kNowMs - 1, "accepted"},
      {RevokedKind::kResource, std::string(kApi), kNowMs, "revoked"},
      {RevokedKind::kResource, std::string(kApi), kNowMs - 1, "accepted"},
      {RevokedKind::kResource, "https://other.example", kNowMs, "accepted"},
  };
  for (const Case& c : cases) {
    Api api;
    const std::string token = sign(claims);  // every signature is another token
    EXPECT_EQ(api.judge(token), "accepted");
    api.revocations.add({c.kind, c.id, c.at, kNowMs + 3'600'000});
    EXPECT_EQ(api.judge(token), c.verdict) << c.id << " seen before";
    Api other;
    other.revocations.add({c.kind, c.id, c.at, kNowMs + 3'600'000});
    EXPECT_EQ(other.read(claims), c.verdict) << c.id << " new";
  }
}

TEST(Verifier, a_principal_item_ends_older_tokens_and_spares_those_issued_after_it) {
  Api api;
  const json::Value older = with(delegated_claims(), "jti", "01mcc5rm3v0123456789abcdef");  // .123
  const json::Value newer = with(delegated_claims(), "jti", "01mcc5rm3w0123456789abcdef");  // .124
  api.revocations.add({RevokedKind::kPrincipal, "mail-agent", kNowMs + 123, kNowMs + 3'600'000});
  EXPECT_EQ(api.read(older), "revoked");
  EXPECT_EQ(api.read(newer), "accepted");
}

TEST(Verifier, refuses_when_it_cannot_know_what_was_revoked) {
  Api api(api_options(), /*max_age=*/15'000);
  EXPECT_EQ(api.read(delegated_claims()), "revocation_stale") << "never heard anything";
  EXPECT_EQ(api.read(with(delegated_claims(), "aud", "x")), "audience") << "a bad token is called bad";
  api.revocations.fresh_as_of(steady_now() - 14'000);
  EXPECT_EQ(api.read(delegated_claims()), "accepted");
  Api other(api_options(), /*max_age=*/15'000);
  other.revocations.fresh_as_of(steady_now() - 15'100);
  EXPECT_EQ(other.read(delegated_claims()), "revocation_stale");
}

TEST(Verifier, a_seen_token_stops_when_the_feed_falls_silent) {
  Api api(api_options(), /*max_age=*/200);
  const std::string token = sign(delegated_claims());
  api.revocations.fresh_as_of(steady_now());
  EXPECT_TRUE(api.verifier.verify(token, kNowMs));
  const Milliseconds until = steady_now() + 5'000;
  while (api.verifier.verify(token, kNowMs) && steady_now() < until) {
  }
  EXPECT_EQ(api.verifier.verify(token, kNowMs).refusal, Refusal::kRevocationStale);
  api.revocations.fresh_as_of(steady_now());
  EXPECT_TRUE(api.verifier.verify(token, kNowMs)) << "and goes on when it speaks again";
}

TEST(Verifier, a_key_that_was_forgotten_ends_its_tokens) {
  Api api;
  const std::string seen = sign(delegated_claims());
  EXPECT_EQ(api.judge(seen), "accepted");
  api.keys.forget(issuer_key().key_id());
  EXPECT_EQ(api.judge(seen), "signature");
  EXPECT_EQ(api.read(delegated_claims()), "signature");
}

TEST(Verifier, needs_to_know_for_whom_it_speaks) {
  KeySource keys = KeySource::fixed(jwks_of({issuer_key()}));
  const auto make = [&](std::string issuer, std::vector<std::string> audiences, Milliseconds leeway) {
    VerifierOptions options;
    options.issuer = std::move(issuer);
    options.audiences = std::move(audiences);
    options.leeway = leeway;
    Verifier verifier(options, keys, nullptr);
  };
  EXPECT_THROW(make("", {"x"}, 0), std::invalid_argument);
  EXPECT_THROW(make("x", {}, 0), std::invalid_argument);
  EXPECT_THROW(make("x", {"x", ""}, 0), std::invalid_argument);
  EXPECT_THROW(make("x", {"x"}, -1), std::invalid_argument);
  EXPECT_NO_THROW(make("x", {"x"}, 0));
}

TEST(Verifier, without_a_cache_says_the_same) {
  VerifierOptions options = api_options();
  options.cache_entries = 0;
  Api api(options);
  EXPECT_EQ(api.read(delegated_claims()), "accepted");
  api.revocations.add({RevokedKind::kGrant, "grant-1", kNowMs, kNowMs + 1});
  EXPECT_EQ(api.read(delegated_claims()), "revoked");
}

TEST(Verifier, remembers_more_tokens_than_it_has_room_for_one_after_the_other) {
  VerifierOptions options = api_options();
  options.cache_entries = 64;
  Api api(options);
  std::vector<std::string> tokens;
  for (int i = 0; i < 600; ++i) {
    tokens.push_back(sign(with(delegated_claims(), "jti", "t" + std::to_string(i))));
    EXPECT_EQ(api.judge(tokens.back()), "accepted");
  }
  api.revocations.add({RevokedKind::kPrincipal, "alice", kNowMs, kNowMs + 1});
  for (const std::string& token : tokens) EXPECT_EQ(api.judge(token), "revoked");
}

TEST(Verifier, accepts_nothing_whose_revocation_was_known_before_the_call_began) {
  Api api;
  constexpr size_t kTokens = 64;
  std::vector<std::string> tokens;
  for (size_t i = 0; i < kTokens; ++i) {
    tokens.push_back(sign(with(delegated_claims(), "jti", "t" + std::to_string(i))));
  }
  std::atomic<size_t> revoked{0};
  std::atomic<size_t> wrong{0};
  std::atomic<size_t> ready{0};
  std::vector<std::thread> callers;
  for (size_t c = 0; c < 3; ++c) {
    callers.emplace_back([&, c] {
      for (const std::string& token : tokens) wrong += api.verifier.verify(token, kNowMs) ? 0 : 1;
      ++ready;
      for (size_t i = c; revoked < kTokens; i = (i + 1) % kTokens) {
        const size_t known = revoked;
        const bool accepted = static_cast<bool>(api.verifier.verify(tokens[i], kNowMs));
        if (i < known && accepted) ++wrong;
        if (i >= revoked + 1 && !accepted) ++wrong;  // not even begun
      }
    });
  }
  while (ready < 3) std::this_thread::yield();
  for (size_t i = 0; i < kTokens; ++i) {
    api.revocations.add({RevokedKind::kToken, "t" + std::to_string(i), kNowMs, kNowMs + 60'000});
    revoked = i + 1;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(Verifier, every_refusal_has_a_name_and_a_sentence_of_its_own) {
  std::set<std::string_view> names;
  std::set<std::string_view> sentences;
  for (int i = 0; i <= static_cast<int>(Refusal::kKeysUnavailable); ++i) {
    names.insert(name_of(static_cast<Refusal>(i)));
    sentences.insert(describe(static_cast<Refusal>(i)));
  }
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(sentences.size(), 12u);
  EXPECT_FALSE(names.contains(""));
}

}  // namespace
}  // namespace behalf::sdk
