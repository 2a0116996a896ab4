// The delegated flow of draft-oauth-ai-agents-on-behalf-of-user-02, end to end.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Draft02, S5_the_token_keeps_person_client_and_agent_apart) {
  TestServer server;
  const Reply reply = server.flow("ca", "a1", "r1.read r1.write");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::Value claims = claims_of(reply.text("access_token"));
  EXPECT_EQ(text_at(claims, "sub"), "u1");
  EXPECT_EQ(text_at(claims, "client_id"), "ca");
  EXPECT_EQ(text_at(claims, "azp"), "ca");
  EXPECT_EQ(text_at(*claims.find("act"), "sub"), "a1");
  EXPECT_EQ(text_at(*claims.find("act"), "iss"), kIssuer);
  EXPECT_EQ(text_at(claims, "aud"), kR1);
  EXPECT_EQ(text_at(claims, "scope"), "r1.read r1.write");
  EXPECT_EQ(reply.text("scope"), "r1.read r1.write");
}

TEST(Draft02, S5_another_agent_cannot_redeem_the_code_and_the_code_is_gone) {
  TestServer server;
  const auto code = server.get_code("ca", "a1", "r1.read");
  const Reply wrong = server.token("ca", server.redemption(code, "a2"));
  expect_refused(server, wrong, 400, "invalid_grant", "actor_mismatch", {code.code, code.pkce.verifier});
  const Reply right = server.token("ca", server.redemption(code, "a1"));
  expect_refused(server, right, 400, "invalid_grant", "code_reused");
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200);
}

TEST(Draft02, a_second_agent_and_a_middle_tier_join_one_lineage_and_revocation_ends_all) {
  TestServer server;
  const Reply first = server.flow("ca", "a1", "m1.use r2.read", kM1);
  ASSERT_EQ(first.status, 200) << first.body;
  const std::string t1 = first.text("access_token");
  const Reply second = server.exchange("m1", t1, "a2", {{"resource", kR2}, {"scope", "r2.read"}});
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(chain_of(second.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
  const Reply obo = server.on_behalf_of("m1", t1, kR2 + "/r2.read");
  ASSERT_EQ(obo.status, 200) << obo.body;
  EXPECT_EQ(chain_of(obo.text("access_token")), (std::vector<std::string>{"m1", "a1"}));
  EXPECT_TRUE(server.is_active("r2-server", second.text("access_token")));
  EXPECT_TRUE(server.is_active("r2-server", obo.text("access_token")));

  json::Value body;
  body.set("id", text_at(claims_of(t1), "grant_id"));
  ASSERT_EQ(server.admin("POST", "/grants/revoke", body).status, 200);
  EXPECT_FALSE(server.is_active("m1", t1));
  EXPECT_FALSE(server.is_active("r2-server", second.text("access_token")));
  EXPECT_FALSE(server.is_active("r2-server", obo.text("access_token")));
}

}  // namespace
}  // namespace behalf::test
