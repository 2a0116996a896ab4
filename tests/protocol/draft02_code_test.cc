// Redeeming a code that names an agent (draft-oauth-ai-agents-on-behalf-of-user-02 §5.5, RFC 6749 §4.1.3):
// every binding alone, what a failed try costs, and what ends between consent and redemption.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

class Code : public ::testing::Test {
 protected:
  TestServer::Code code(const char* client = "ca", const char* agent = "a1", const char* scope = "r1.read") {
    return next_code(server, browser, client, agent, scope);
  }
  TestServer server;
  Browser browser{server};
};

TEST_F(Code, S4_1_3_a_code_belongs_to_its_client) {  // E-06, E-07, 52
  const auto first = code();
  expect_refused(server, server.token("cp", server.redemption(first, "a1")), 400, "invalid_grant",
                 "code_of_other_client", {first.code});
  expect_refused(server, server.token("cb", server.redemption(code(), "a1")), 400, "invalid_grant",
                 "code_of_other_client");
  const auto mine = code();
  expect_refused(server, server.token("ca", with(server.redemption(mine, "a1"), {{"client_id", "cb"}})), 401,
                 "invalid_client", "client_id_differs");
  expect_refused(server, server.post("/token", with(server.redemption(mine, "a1"), {{"client_id", "ca"}})),
                 401, "invalid_client", "no_credentials");
  const Reply reply = server.token(
      "ca", server.redemption(mine, "a1"));  // failed client authentication spends nothing (D-11)
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");  // E-40
  EXPECT_EQ(reply.text("token_type"), "Bearer");
  const json::Value issued = claims_of(reply.text("access_token"));
  EXPECT_EQ(*reply.json.find_integer("expires_in"),
            *issued.find_integer("exp") - *issued.find_integer("iat"));
  EXPECT_EQ(reply.text("scope"), text_at(issued, "scope"));
  EXPECT_EQ(reply.header("Set-Cookie"), "");
}

TEST_F(Code, S4_1_2_a_second_use_ends_all_that_came_from_it) {  // E-13, E-14, 48
  const auto first = next_code(server, browser, "ca", "a1", "m1.use r2.read", kM1);
  const std::string token = server.token("ca", server.redemption(first, "a1")).text("access_token");
  const std::string child =
      server.exchange("m1", token, "a2", {{"resource", kR2}, {"scope", "r2.read"}}).text("access_token");
  ASSERT_TRUE(server.is_active("r2-server", child));
  expect_refused(server, server.token("cb", server.redemption(first, "a1")), 400, "invalid_grant",
                 "code_reused");
  expect_refused(
      server,
      server.token("ca", with(server.redemption(first, "a1"), {{"code_verifier", make_pkce().verifier}})),
      400, "invalid_grant", "code_reused");
  EXPECT_TRUE(server.is_active("r2-server", child)) << "a stranger ended it";
  expect_refused(server, server.token("ca", server.redemption(first, "a1")), 400, "invalid_grant",
                 "code_reused", {first.code});
  EXPECT_FALSE(server.is_active("m1", token));
  EXPECT_FALSE(server.is_active("r2-server", child));
}

TEST_F(Code, D29_it_lives_for_sixty_seconds) {  // E-12, 55
  const auto edge = code();
  const auto late = code();
  server.clock.advance(Seconds{59});
  EXPECT_EQ(server.token("ca", server.redemption(edge, "a1")).status, 200);
  server.clock.advance(Seconds{1});
  expect_refused(server, server.token("ca", server.redemption(late, "a1")), 400, "invalid_grant",
                 "code_expired");
  server.clock.advance(Seconds{-30});
  expect_refused(server, server.token("ca", server.redemption(late, "a1")), 400, "invalid_grant");
}

TEST_F(Code, D13_the_agent_that_is_the_client_and_nobody_else) {  // E-03, E-04, E-23, E-34, E-36, 99
  expect_refused(server, server.token("ca", server.redemption(code(), "a2")), 400, "invalid_grant",
                 "actor_mismatch");
  expect_refused(server, server.token("ca", server.redemption(code("ca", ""), "a1")), 400, "invalid_grant",
                 "actor_token_without_actor");
  const Reply own = server.token("cg", server.redemption(code("cg", "ag"), ""));
  ASSERT_EQ(own.status, 200) << own.body;
  EXPECT_EQ(chain_of(own.text("access_token")), std::vector<std::string>{"ag"});
  EXPECT_EQ(chain_of(server.flow("cg", "", "r1.read").text("access_token")), std::vector<std::string>{"ag"});
  server.change("agents", "a2", "clients", json::Value::Array{"cg", "ca"});
  expect_refused(server, server.token("cg", server.redemption(code("cg", "a2"), "")), 400, "invalid_request",
                 "actor_token_missing");
  const std::string proof = server.assertion("cg");
  Fields both = server.redemption(code("cg", "a2"), "");
  both.insert(both.end(),
              {{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
               {"client_assertion", proof},
               {"actor_token", proof}});
  expect_refused(server, server.post("/token", both), 400, "invalid_grant", "actor_mismatch");
}

TEST_F(Code, D23_what_ended_between_consent_and_redemption_stays_ended) {  // E-18 to E-22, 58
  for (const auto& [kind, id] : {std::pair{"agent", "a1"}, std::pair{"user", "u1"}}) {
    const auto open = code();
    server.suspend(kind, id);
    expect_refused(server, server.token("ca", server.redemption(open, "a1")), 400, "invalid_grant");
    server.resume(kind, id);
    expect_refused(server, server.token("ca", server.redemption(open, "a1")), 400, "invalid_grant");
    browser.cookies.clear();
  }
  const auto open = code();
  std::string grant;
  for (const json::Value& record : server.audit()) {
    if (!text_at(record, "grant").empty()) grant = text_at(record, "grant");
  }
  ASSERT_NE(grant, "");
  ASSERT_EQ(server.admin("POST", "/grants/revoke", claims({{"id", grant}})).status, 200);
  expect_refused(server, server.token("ca", server.redemption(open, "a1")), 400, "invalid_grant");
  const auto before = code();
  server.change("agents", "a1", "clients", json::Value::Array{"cb"});
  expect_refused(server, server.token("ca", server.redemption(before, "a1")), 400, "invalid_grant",
                 "agent_not_for_this_client");
}

TEST_F(Code, S3_2_the_request_has_one_form) {  // E-24, E-27, E-28, E-30, 60 to 63
  Fields twice = server.redemption(code(), "a1");
  twice.emplace_back("grant_type", "authorization_code");
  expect_refused(server, server.token("ca", twice), 400, "invalid_request", "repeated_parameter");
  for (const std::string& type : {kLeaveOut, std::string{}}) {
    expect_refused(server, server.token("ca", with(server.redemption(code(), "a1"), {{"grant_type", type}})),
                   400, "invalid_request", "grant_type_missing");
  }
  expect_refused(
      server,
      server.token("ca", with(server.redemption(code(), "a1"), {{"grant_type", "AUTHORIZATION_CODE"}})), 400,
      "unsupported_grant_type");
  expect_refused(server, server.token("m1", server.redemption(code(), "a1")), 400, "unauthorized_client",
                 "grant_type_not_registered");
  expect_refused(server, server.token("ca", with(server.redemption(code(), "a1"), {{"code", ""}})), 400,
                 "invalid_request", "code_missing");
  for (const char* media : {"application/json", "multipart/form-data", "text/plain",
                            "application/x-www-form-urlencoded; charset=utf-16"}) {
    http::Headers headers = server.basic("ca");
    headers.set("Content-Type", media);
    expect_refused(server, server.post("/token", server.redemption(code(), "a1"), headers), 400,
                   "invalid_request", "content_type");
  }
  EXPECT_EQ(server.get("/token").status, 405);
  EXPECT_EQ(
      server.post("/token?grant_type=authorization_code", server.redemption(code(), "a1"), server.basic("ca"))
          .error(),
      "invalid_request");
  expect_refused(server,
                 server.token("ca", with(server.redemption(code(), "a1"), {{"scope", "r1.read r1.write"}})),
                 400, "invalid_scope", "scope_widening");
  const Reply extra = server.token("ca", with(server.redemption(code(), "a1"), {{"requested_actor", "a2"}}));
  EXPECT_EQ(chain_of(extra.text("access_token")), std::vector<std::string>{"a1"});
}

TEST_F(Code, D13_a_shared_secret_proves_the_client_and_not_its_agent) {
  server.change("clients", "ca", "agent", "a1");
  expect_refused(server, server.token("ca", server.redemption(code(), "")), 400, "invalid_request",
                 "actor_token_missing");
  const Reply reply = server.token("ca", server.redemption(code(), "a1"));
  EXPECT_EQ(chain_of(reply.text("access_token")), std::vector<std::string>{"a1"}) << reply.body;
}

TEST_F(Code, D18_nothing_outlives_the_consent_it_rests_on) {  // C-13
  const int64_t given = server.clock.now().seconds();
  const auto redeemed = [&] {
    return server.token("ca", server.redemption(code("ca", "a1", "r1.read offline_access"), "a1"));
  };
  ASSERT_EQ(redeemed().status, 200);
  server.clock.advance(Seconds{30 * 86400 - 100});
  const Reply late = redeemed();
  ASSERT_EQ(late.status, 200) << late.body;
  EXPECT_EQ(claims_of(late.text("access_token")).find_integer("exp"), given + 30 * 86400);
  server.clock.advance(Seconds{101});
  expect_refused(server,
                 server.token("ca", {{"grant_type", "refresh_token"},
                                     {"refresh_token", late.text("refresh_token")},
                                     {"actor_token", server.assertion("a1")},
                                     {"actor_token_type", kJwtType}}),
                 400, "invalid_grant", "refresh_token_expired");
}

TEST_F(Code, D36_the_client_gives_no_more_than_its_entry_says_by_now) {
  const auto before = code("ca", "a1", "r1.read r2.read");
  server.change("clients", "ca", "scopes", json::Value::Array{"r2.read"});
  EXPECT_EQ(server.token("ca", server.redemption(before, "a1")).text("scope"), "r2.read");
  server.change("clients", "ca", "scopes", json::Value::Array{"r1.read", "r2.read"});
  const std::string token =
      server.token("ca", server.redemption(code("ca", "a1", "r1.read r2.read"), "a1")).text("access_token");
  server.change("clients", "r1-server", "scopes", json::Value::Array{"r1.read"});
  EXPECT_EQ(server.exchange("r1-server", token, "a2").text("scope"), "r1.read");
}

TEST_F(Code, D36_the_person_gives_no_more_than_she_has_by_now) {
  const auto before = code("ca", "a1", "r1.read r2.read");
  const std::string token =
      server.token("ca", server.redemption(code("ca", "a1", "r1.read r2.read"), "a1")).text("access_token");
  server.change("users", "u1", "entitlements", json::Value::Array{"r2.read"});
  EXPECT_EQ(server.token("ca", server.redemption(before, "a1")).text("scope"), "r2.read");
  EXPECT_EQ(server.exchange("r1-server", token, "a2").text("scope"), "r2.read");
}

}  // namespace
}  // namespace behalf::test
