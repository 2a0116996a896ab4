// Token revocation (RFC 7009): a client ends its own tokens and what came from them; anything else is
// answered alike and touches nothing.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Rfc7009, S2_1_a_refresh_token_takes_its_family_with_it) {  // P-05, 218
  TestServer server;
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string rt = flow.text("refresh_token");
  ASSERT_NE(rt, "");
  const std::string child = server.exchange("ca", flow.text("access_token"), "a2").text("access_token");
  ASSERT_TRUE(server.is_active("r1-server", child));
  // A wrong hint does not hide it (§2.1).
  const Reply reply = server.as("ca", "/revoke", {{"token", rt}, {"token_type_hint", "access_token"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_FALSE(server.is_active("ca", rt));
  EXPECT_FALSE(server.is_active("r1-server", flow.text("access_token")));
  EXPECT_FALSE(server.is_active("r1-server", child));
  const Reply refresh = server.token(
      "ca",
      {{"grant_type", "refresh_token"}, {"refresh_token", rt}, {"actor_token", server.assertion("a1")}});
  expect_refused(server, refresh, 400, "invalid_grant", {}, {rt});
}

TEST(Rfc7009, S2_1_a_child_ends_alone_and_a_parent_takes_its_children) {  // J-25, J-23
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string left = server.exchange("ca", t1, "a2").text("access_token");
  const std::string right = server.exchange("ca", t1, "a4").text("access_token");
  const std::string below = server.exchange("ca", left, "a4").text("access_token");
  ASSERT_TRUE(server.is_active("r1-server", below));
  EXPECT_EQ(server.as("ca", "/revoke", {{"token", left}, {"token_type_hint", "refresh_token"}}).status, 200);
  EXPECT_FALSE(server.is_active("r1-server", left));
  EXPECT_FALSE(server.is_active("r1-server", below));
  EXPECT_TRUE(server.is_active("r1-server", right));
  EXPECT_TRUE(server.is_active("r1-server", t1));
  EXPECT_EQ(server.as("ca", "/revoke", {{"token", t1}}).status, 200);
  EXPECT_FALSE(server.is_active("r1-server", right));
}

TEST(Rfc7009, S2_2_what_is_not_the_callers_is_answered_alike_and_untouched) {  // P-06, 217
  TestServer server;
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string t1 = flow.text("access_token");
  const std::string rt = flow.text("refresh_token");
  const Reply unknown = server.as("cb", "/revoke", {{"token", "nothing"}});
  for (const std::string& client : {std::string("cb"), std::string("r1-server"), std::string("cp")}) {
    for (const std::string& token : {t1, rt, rt + "x", std::string("a.b.c")}) {
      const Reply reply = server.as(client, "/revoke", {{"token", token}});
      EXPECT_EQ(reply.status, unknown.status);
      EXPECT_EQ(reply.body, unknown.body);
      EXPECT_EQ(text_at(server.last_audit(), "outcome"), "denied");
    }
  }
  EXPECT_EQ(unknown.status, 200);
  EXPECT_TRUE(server.is_active("r1-server", t1));
  EXPECT_EQ(server
                .token("ca", {{"grant_type", "refresh_token"},
                              {"refresh_token", rt},
                              {"actor_token", server.assertion("a1")},
                              {"actor_token_type", kJwtType}})
                .status,
            200);
  expect_refused(server, server.post("/revoke", {{"token", t1}}), 401, "invalid_client", "no_client");
  expect_refused(server, server.post("/revoke", {{"token", t1}, {"client_id", "ca"}}), 401, "invalid_client",
                 "no_credentials");
  expect_refused(server, server.as("ca", "/revoke", {}), 400, "invalid_request", "token_missing");
  EXPECT_TRUE(server.is_active("r1-server", t1));
}

}  // namespace
}  // namespace behalf::test
