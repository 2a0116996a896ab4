// The agent's proof at the token endpoint (draft-oauth-ai-agents-on-behalf-of-user-02 §5.5, decisions D-04 to
// D-09): what is an actor token, whose, for whom, for how long, and how often.
#include <gtest/gtest.h>

#include <functional>

#include "base/bytes.h"
#include "support/expectations.h"

namespace behalf::test {
namespace {

std::string code_hash(const std::string& code) {
  const Digest digest = crypto::sha256(code);
  return base64url(std::span(digest).first(digest.size() / 2));
}

class ActorToken : public ::testing::Test {
 protected:
  TestServer::Code code(const char* client = "ca") {
    return next_code(server, browser, client, "a1", "r1.read");
  }
  Reply redeem(const TestServer::Code& code, const std::string& token, const std::string& type = kLeaveOut) {
    return server.token(
        "ca", with(server.redemption(code, ""), {{"actor_token", token}, {"actor_token_type", type}}));
  }
  void expect_bad(const std::string& token, const std::string& reason, const std::string& type = kLeaveOut,
                  const std::string& error = "invalid_grant") {
    const auto fresh = code();
    expect_refused(server, redeem(fresh, token, type), 400, error, reason,
                   {fresh.code, token.size() > 20 ? token : std::string{}});
    expect_refused(server, server.token("ca", server.redemption(fresh, "a1")), 400,
                   "invalid_grant");  // D-11: it is spent
  }
  void expect_good(const std::string& token, const std::string& type = kLeaveOut) {
    const Reply reply = redeem(code(), token, type);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(chain_of(reply.text("access_token")), std::vector<std::string>{"a1"});
  }
  std::string self(std::initializer_list<std::pair<std::string_view, json::Value>> changes,
                   std::string_view type = "JWT") {
    return server.assertion("a1", claims(changes), type);
  }
  int64_t now() { return server.clock.now().seconds(); }
  TestServer server;
  Browser browser{server};
};

TEST_F(ActorToken,
       D04_a_self_signed_assertion_is_for_us_alone_short_and_complete) {  // F-02, F-06 to F-20, 100
  using json::Value;
  expect_good(server.assertion("a1"));
  expect_good(server.assertion("a1"), kJwtType);  // L-06
  expect_good(self({{"aud", kIssuer + "/token"}}));
  expect_good(self({{"aud", Value::Array{kIssuer}}}));
  expect_good(self({{"exp", now() + 300}}));
  const std::string audience = "actor_token: meant for another audience";
  const std::string incomplete = "actor_token: a registered claim is missing or not acceptable";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {self({{"aud", kR1}}), audience},
      {self({{"aud", kIssuer + "/"}}), audience},
      {self({{"aud", "https://AS.example"}}), audience},
      {self({{"aud", Value::Array{kIssuer, kR1}}}), audience},
      {self({{"aud", Value{}}}), incomplete},
      {self({{"exp", Value{}}}), "actor_token: expired"},
      {self({{"exp", now() + 301}}), "actor_token: valid for longer than is accepted"},
      {self({{"exp", now() + 361}, {"iat", Value{}}}), "actor_token: valid for longer than is accepted"},
      {self({{"jti", Value{}}}), incomplete},
      {self({{"jti", ""}}), incomplete},
      {self({{"iss", "a2"}}), "actor_token_issuer"},
      {self({{"sub", "a2"}}), "actor_token_issuer"},
      {self({{"iss", "https://idp.example"}}), "actor_token_issuer"},
      {self({{"iss", Value{}}}), "actor_token_issuer"},
      {self({{"iss", "nobody"}, {"sub", "nobody"}}), "actor_token_unknown_agent"},
      {self({{"act", claims({{"sub", "a2"}})}}), "actor_token_carries_act"},
      {self({{"act", "a2"}}), "actor_token_carries_act"},
      {server.sign("a2", "JWT", claims_of(server.assertion("a1"))),
       "actor_token: signed with an unknown key"},
      {server.sign("stranger", "JWT", claims_of(server.assertion("a1"))),
       "actor_token: signed with an unknown key"},
      {self({}, "dpop+jwt"), "actor_token: of another type than expected"},
      {self({}, "txntoken+jwt"), "actor_token: of another type than expected"},
      {self({}, "oauth-id-jag+jwt"), "actor_token: of another type than expected"},
      {self({{"nbf", now() + 61}}), "actor_token: not valid yet"},
      {self({{"client_id", 7}}), "actor_token_claim_type"},
      {self({{"c_hash", ""}}), "actor_token_claim_type"},
      {"not a jwt", "actor_token_malformed"},
      {"a.b.c", "actor_token_malformed"},
  };
  for (const auto& [token, reason] : cases) {
    SCOPED_TRACE(json::write(claims_of(token)));
    expect_bad(token, reason);
  }
  std::string broken = server.assertion("a1");
  broken[broken.size() - 10] = broken[broken.size() - 10] == 'A' ? 'B' : 'A';
  expect_bad(broken, "actor_token: the signature is wrong");
  expect_good(server.assertion("a1"));
}

// A header in front of the claims of a good assertion, with its signature or none.
std::string with_header(const std::string& jwt, const std::string& header) {
  const size_t first = jwt.find('.');
  return base64url(header) + jwt.substr(first);
}

TEST_F(ActorToken, D04_the_header_decides_nothing) {  // F-08, F-10, F-11, F-40
  const std::string good = server.assertion("a1");
  const std::string unsigned_part = good.substr(0, good.rfind('.') + 1);
  for (const std::string& header :
       {std::string(R"({"alg":"none","typ":"JWT"})"), std::string(R"({"alg":"HS256","typ":"JWT"})"),
        std::string(R"({"alg":"ES256","typ":"JWT","crit":["exp"]})"),
        std::string(R"({"alg":"ES256","typ":"JWT","jku":"https://evil.example/k"})"),
        std::string(R"({"alg":"ES256","typ":"JWT","x5u":"https://evil.example/k"})"),
        R"({"alg":"ES256","typ":"JWT","jwk":)" + json::write(server.key_of("stranger").public_jwk()) + "}",
        std::string(R"({"alg":"ES256","alg":"none","typ":"JWT"})")}) {
    SCOPED_TRACE(header);
    expect_bad(with_header(good, header), "");
  }
  expect_bad(with_header(unsigned_part, R"({"alg":"none"})"), "");
  expect_bad(base64url(std::string(2000, '[')) + "." + base64url("{}") + ".AAAA", "actor_token_malformed");
  const Reply huge = redeem(code(), std::string(1024 * 1024, 'a'));
  EXPECT_TRUE(huge.status == 413 || huge.status == 400) << huge.status;
  EXPECT_EQ(huge.body.find("access_token\""), std::string::npos);
}

TEST_F(ActorToken, D09_sixty_seconds_of_leeway_and_no_more) {  // F-04, S-09
  const std::string edge = server.assertion("a1");             // for 60 s
  const std::string late = server.assertion("a1");
  server.clock.advance(Seconds{119});
  expect_good(edge);
  server.clock.advance(Seconds{1});
  expect_bad(late, "actor_token: expired");
  expect_good(self({{"iat", now() + 59}, {"exp", now() + 119}}));
  expect_bad(self({{"iat", now() + 61}, {"exp", now() + 121}}), "actor_token: not valid yet");
}

TEST_F(ActorToken, D09_an_assertion_is_used_once_by_whomever) {  // F-24, 103
  const std::string once = server.assertion("a1");
  expect_good(once);
  expect_bad(once, "actor_token_replayed");
  const auto of_cb = next_code(server, browser, "cb", "a1", "r1.read");
  expect_refused(server, server.token("cb", with(server.redemption(of_cb, ""), {{"actor_token", once}})), 400,
                 "invalid_grant", "actor_token_replayed");
  const std::string same_id = self({{"jti", text_at(claims_of(once), "jti")}, {"exp", now() + 90}});
  expect_bad(same_id, "actor_token_replayed");
  expect_bad(server.assertion("a2", claims({{"jti", "shared"}})), "actor_mismatch");
  expect_good(self({{"jti", "shared"}}));  // ids belong to their signer
  server.restart();
  expect_bad(once, "actor_token_replayed");
}

TEST_F(ActorToken, D06_the_type_may_be_absent_but_may_not_contradict) {  // E-02, F-34, F-35, F-36, X13
  const std::string unfit = "actor_token_type_contradicts_token";
  expect_bad(server.assertion("a1"), unfit, kAccessTokenType, "invalid_request");
  expect_bad(server.issued_actor_token("a1"), unfit, kJwtType, "invalid_request");
  for (const char* type : {"id_token", "saml2", "refresh_token", "nonsense"}) {
    expect_bad(server.assertion("a1"), "actor_token_type_unsupported",
               "urn:ietf:params:oauth:token-type:" + std::string(type), "invalid_request");
  }
  expect_bad("", "actor_token_type_without_token", kJwtType, "invalid_request");
  expect_bad(kLeaveOut, "actor_token_missing", kLeaveOut, "invalid_request");
  Fields twice = server.redemption(code(), "a1");
  twice.emplace_back("actor_token", server.assertion("a1"));
  expect_refused(server, server.token("ca", twice), 400, "invalid_request", "repeated_parameter");
}

TEST_F(ActorToken, D08_hardening_claims_must_match) {  // F-38, F-39, R-05
  // Bound to a key whose proof nobody asks for: not a bearer token (F-30).
  expect_bad(server.assertion("a1", json_of(R"({"cnf":{"jkt":"x"}})")), "actor_token_proof_missing");
  expect_bad(self({{"client_id", "cb"}}), "actor_token_for_other_client");
  expect_good(self({{"client_id", "ca"}}));
  const auto other = code();
  expect_bad(self({{"c_hash", code_hash(other.code)}}), "actor_token_for_other_code");
  const auto mine = code();
  const Reply reply = redeem(mine, self({{"c_hash", code_hash(mine.code)}}));
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST_F(ActorToken,
       D04_an_issued_actor_token_is_for_us_alive_and_of_the_agent) {  // E-32, F-12, F-22, F-27, D-08
  const std::string token = server.issued_actor_token("a1");
  expect_good(token);
  expect_good(token, kAccessTokenType);  // bearer and short: it may come again
  expect_bad(server.issued_actor_token("a2"), "actor_mismatch", kAccessTokenType);
  const std::string for_r1 =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
          .text("access_token");
  ASSERT_NE(for_r1, "");
  expect_bad(for_r1, "actor_token_audience");
  const std::string delegated = server.flow("ca", "a1", "r1.read").text("access_token");
  expect_bad(delegated, "actor_token_audience");
  const Reply offline = server.flow("ca", "a1", "r1.read offline_access");
  ASSERT_NE(offline.text("refresh_token"), "") << offline.body;
  expect_bad(offline.text("refresh_token"), "actor_token_malformed");
  std::string tampered = token;
  tampered[tampered.size() - 10] = tampered[tampered.size() - 10] == 'A' ? 'B' : 'A';
  expect_bad(tampered, "actor_token_not_ours");

  const auto of_public = next_code(server, browser, "cp", "a1", "r1.read");
  expect_refused(
      server,
      server.token("cp", with(server.redemption(of_public, ""),
                              {{"redirect_uri", "http://127.0.0.1:4711/loop"}, {"actor_token", token}})),
      400, "invalid_grant", "actor_token_bearer_from_public_client");
  EXPECT_EQ(server.as("a1-runtime", "/revoke", {{"token", token}}).status, 200);
  expect_bad(token, "actor_token_ended");
  const std::string old = server.issued_actor_token("a1");
  server.clock.advance(Seconds{300});
  expect_bad(old, "");
  const std::string bearer = server.issued_actor_token("a1");
  server.change("agents", "a1", "bearer_actor_tokens", false);
  expect_bad(bearer, "actor_token_bearer_not_allowed");
  expect_good(server.assertion("a1"));
}

TEST_F(ActorToken, D51_a_removed_key_ends_what_it_signed) {  // F-28, 104, P-13
  const std::string before = server.assertion("a1");
  const auto open = code();
  json::Value keys;
  keys.set("keys", json::Value::Array{server.key_of("stranger").public_jwk()});
  server.change("agents", "a1", "jwks", keys);
  expect_refused(server, redeem(open, before), 400, "invalid_grant",
                 "actor_token: signed with an unknown key");
  json::Value claims_of_a1 = claims_of(server.assertion("a1"));
  expect_good(server.sign("stranger", "JWT", claims_of_a1));
}

TEST_F(ActorToken, D04_only_an_agents_client_is_given_one_and_a_parent_for_its_child) {  // F-42, F-43
  expect_refused(server, server.token("ca", {{"grant_type", "client_credentials"}, {"resource", kIssuer}}),
                 400, "unauthorized_client", "client_is_no_agent");
  EXPECT_EQ(server
                .token("a1-runtime",
                       {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"agent", "child"}})
                .status,
            200);
  const Reply foreign = server.token(
      "a2-runtime", {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"agent", "child"}});
  EXPECT_EQ(foreign.status, 400) << foreign.body;
  EXPECT_EQ(foreign.text("access_token"), "");
}

}  // namespace
}  // namespace behalf::test
