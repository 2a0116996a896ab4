// Refreshing (RFC 6749 §6, RFC 9700 §4.14, decision D-31): the agent proves itself each time, a lost answer
// may be asked for again within a minute, and a token that comes back later ends its family.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

class Refresh : public ::testing::Test {
 protected:
  std::string refresh_token(const char* scope = "r1.read r1.write offline_access") {
    const auto code = next_code(server, browser, "ca", "a1", scope);
    const Reply reply = server.token("ca", server.redemption(code, "a1"));
    EXPECT_NE(reply.text("refresh_token"), "") << reply.body;
    access_token = reply.text("access_token");
    return reply.text("refresh_token");
  }
  Fields fields(const std::string& token, const Fields& overrides = {}) {
    return with({{"grant_type", "refresh_token"},
                 {"refresh_token", token},
                 {"actor_token", server.assertion("a1")},
                 {"actor_token_type", kJwtType}},
                overrides);
  }
  Reply refresh(const std::string& token, const Fields& overrides = {}) {
    return server.token("ca", fields(token, overrides));
  }
  void expect_alive(const std::string& token) {
    const Reply reply = refresh(token);
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(chain_of(reply.text("access_token")), std::vector<std::string>{"a1"});
  }
  TestServer server;
  Browser browser{server};
  std::string access_token;
};

TEST_F(Refresh, S6_twenty_in_sequence_keep_the_actor) {  // H-13
  std::string token = refresh_token();
  for (int i = 0; i < 20; ++i) {
    const Reply reply = refresh(token);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(chain_of(reply.text("access_token")), std::vector<std::string>{"a1"});
    EXPECT_NE(reply.text("refresh_token"), token);
    token = reply.text("refresh_token");
  }
}

TEST_F(Refresh, S6_an_honest_mistake_costs_nothing) {  // H-03, H-05, H-07, I12
  const std::string token = refresh_token();
  expect_refused(server, refresh(token, {{"actor_token", kLeaveOut}, {"actor_token_type", kLeaveOut}}), 400,
                 "invalid_request", "actor_token_missing", {token});
  const int64_t past = server.clock.now().seconds() - 100;
  expect_refused(
      server,
      refresh(token, {{"actor_token", server.assertion("a1", claims({{"exp", past}, {"iat", past - 60}}))}}),
      400, "invalid_grant", "actor_token: expired", {token});
  expect_refused(server, server.token("cb", fields(token)), 400, "invalid_grant",
                 "refresh_token_of_other_client", {token});
  expect_refused(server, server.token("cp", fields(token)), 400, "invalid_grant",
                 "refresh_token_of_other_client");
  expect_refused(server, refresh(token, {{"scope", "r1.read r2.read"}}), 400, "invalid_scope",
                 "scope_widening");
  expect_refused(server, refresh(token, {{"resource", kR2}}), 400, "invalid_target", "target_not_granted");
  expect_refused(server, refresh(token, {{"resource", "https://api.example/none"}}), 400, "invalid_target");
  expect_refused(server, refresh(access_token), 400, "invalid_grant", "refresh_token_malformed");
  expect_refused(server, refresh(token + "A"), 400, "invalid_grant");
  expect_refused(server, refresh(token, {{"refresh_token", kLeaveOut}}), 400, "invalid_request",
                 "refresh_token_missing");
  EXPECT_TRUE(server.is_active("r1-server", access_token));
  const Reply narrow = refresh(token, {{"scope", "r1.read"}});  // H-08
  ASSERT_EQ(narrow.status, 200) << narrow.body;
  EXPECT_EQ(narrow.text("scope"), "r1.read");
  EXPECT_EQ(refresh(narrow.text("refresh_token")).text("scope"),
            "r1.read r1.write");  // one narrow token narrows no other
}

TEST_F(Refresh, S6_another_agent_ends_the_family) {  // H-04
  const std::string token = refresh_token();
  expect_refused(server, refresh(token, {{"actor_token", server.assertion("a2")}}), 400, "invalid_grant",
                 "actor_mismatch", {token});
  EXPECT_FALSE(server.is_active("r1-server", access_token));
  expect_refused(server, refresh(token), 400, "invalid_grant", "refresh_token_ended");
  expect_alive(refresh_token());
}

TEST_F(Refresh, S4_14_a_retry_within_a_minute_gets_the_same_successor) {  // retry, H-17
  const std::string token = refresh_token();
  const Reply first = refresh(token);
  server.clock.advance(Seconds{59});
  const Reply again = refresh(token);
  ASSERT_EQ(again.status, 200) << again.body;
  EXPECT_EQ(again.text("refresh_token"), first.text("refresh_token"));
  expect_refused(server, server.token("cb", fields(token)), 400, "invalid_grant",
                 "refresh_token_of_other_client");
  server.clock.advance(Seconds{1});
  expect_refused(server, refresh(token), 400, "invalid_grant", "refresh_token_reused",
                 {token, first.text("refresh_token")});
  expect_refused(server, refresh(first.text("refresh_token")), 400, "invalid_grant", "refresh_token_ended");
  EXPECT_FALSE(server.is_active("r1-server", again.text("access_token")));
}

TEST_F(Refresh, S4_14_a_retry_after_its_successor_was_used_ends_the_family) {
  const std::string token = refresh_token();
  const std::string second = refresh(token).text("refresh_token");
  const std::string third = refresh(second).text("refresh_token");
  expect_refused(server, refresh(token), 400, "invalid_grant", "refresh_token_reused");
  expect_refused(server, refresh(third), 400, "invalid_grant", "refresh_token_ended");
}

TEST_F(Refresh, S6_another_resource_within_the_consent_is_given) {  // H-15
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  Fields both = server.authorization("ca", "a1", "r1.read r2.read offline_access", code.pkce);
  both.emplace_back("resource", kR2);
  code.code = server.authorize(browser, both).location_parameter("code");
  const Reply first = server.token("ca", with(server.redemption(code, "a1"), {{"resource", kR1}}));
  const Reply other = refresh(first.text("refresh_token"), {{"resource", kR2}});
  ASSERT_EQ(other.status, 200) << other.body;
  EXPECT_EQ(text_at(claims_of(other.text("access_token")), "aud"), kR2);
  EXPECT_EQ(other.text("scope"), "r2.read");
}

TEST_F(Refresh, D29_the_family_ends_with_its_absolute_lifetime) {  // H-16: eight hours for a1
  std::string token = refresh_token();
  server.clock.advance(Seconds{8 * 3600 - 1});
  const Reply late = refresh(token);
  ASSERT_EQ(late.status, 200) << late.body;
  server.clock.advance(Seconds{1});  // rotation extended nothing
  expect_refused(server, refresh(late.text("refresh_token")), 400, "invalid_grant", "refresh_token_expired");
}

TEST_F(Refresh, D30_a_suspension_ends_it_for_good) {  // H-09, H-11
  for (const auto& [kind, id] :
       {std::pair{"agent", "a1"}, std::pair{"user", "u1"}, std::pair{"client", "ca"}}) {
    SCOPED_TRACE(id);
    browser.cookies.clear();
    const std::string token = refresh_token();
    server.suspend(kind, id);
    const bool client = std::string(kind) == "client";
    expect_refused(server, refresh(token), client ? 401 : 400, client ? "invalid_client" : "invalid_grant");
    server.resume(kind, id);
    expect_refused(server, refresh(token), 400, "invalid_grant");
    expect_alive(refresh_token());
  }
}

TEST_F(Refresh, D31_no_refresh_token_without_the_agents_policy) {  // H-01
  const Reply reply = server.flow("ca", "a2", "r1.read offline_access");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json.find("refresh_token"), nullptr);
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").json.find("refresh_token"), nullptr);  // not asked for
}

TEST_F(Refresh, D13_a_client_that_is_the_agent_proves_it_with_its_key) {
  const Reply first = server.flow("cg", "ag", "r1.read offline_access");
  ASSERT_EQ(first.status, 200) << first.body;
  const Reply next =
      server.token("cg", {{"grant_type", "refresh_token"}, {"refresh_token", first.text("refresh_token")}});
  ASSERT_EQ(next.status, 200) << next.body;
  EXPECT_EQ(chain_of(next.text("access_token")), std::vector<std::string>{"ag"});
}

}  // namespace
}  // namespace behalf::test
