// Client credentials (RFC 6749 §4.4): software for itself, and the actor token with which an agent proves
// itself.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Rfc6749ClientCredentials, S4_4_what_is_refused) {  // F-42, F-43, D-04, D-86
  TestServer server;
  const Fields own{{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}};
  const struct {
    std::string name, client;
    Fields change;
    std::string error, reason;
  } rows[] = {
      {"above the client", "ca", {{"scope", "r1.read admin"}}, "invalid_scope", ""},
      {"of another resource", "a2-runtime", {{"scope", "m1.use"}}, "invalid_scope", ""},
      {"above the agent", "a2-runtime", {{"scope", "r1.write"}}, "invalid_scope", ""},
      {"unknown resource", "ca", {{"resource", "https://api.example/x"}}, "invalid_target", "target_unknown"},
      {"no agent",
       "ca",
       {{"resource", kIssuer}, {"scope", kLeaveOut}},
       "unauthorized_client",
       "client_is_no_agent"},
      {"a foreign child",
       "a2-runtime",
       {{"resource", kIssuer}, {"scope", kLeaveOut}, {"agent", "child"}},
       "unauthorized_client",
       "not_the_parent"},
      {"no child at all",
       "a1-runtime",
       {{"resource", kIssuer}, {"scope", kLeaveOut}, {"agent", "a2"}},
       "unauthorized_client",
       "not_the_parent"},
      {"a resource's scope for this server",
       "a1-runtime",
       {{"resource", kIssuer}},
       "invalid_scope",
       "scope_not_of_this_server"},
      {"a child's API token", "a1-runtime", {{"agent", "child"}}, "invalid_request", "agent_parameter"},
      {"public client", "cp", {}, "unauthorized_client", "public_client"},
      {"without the grant", "r2-server", {}, "unauthorized_client", "grant_type_not_registered"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_refused(server, server.token(row.client, with(own, row.change)), 400, row.error, row.reason);
  }
  EXPECT_EQ(server.token("ca", own).status, 200);
}

TEST(Rfc6749ClientCredentials, S4_4_3_an_actor_token_opens_nothing_else) {  // D-04 a, D-86
  TestServer server;
  const Reply reply = server.token(
      "a1-runtime", {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"agent", "child"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::Value claims = claims_of(reply.text("access_token"));
  EXPECT_EQ(text_at(claims, "sub"), "child");
  EXPECT_EQ(text_at(claims, "aud"), kIssuer);
  EXPECT_EQ(claims.find("scope"), nullptr);
  EXPECT_EQ(claims.find("act"), nullptr);
  EXPECT_LE(*claims.find_integer("exp") - *claims.find_integer("iat"), 300);
  EXPECT_EQ(reply.json.find("refresh_token"), nullptr);
  EXPECT_FALSE(server.is_active("r1-server", reply.text("access_token")));
}

}  // namespace
}  // namespace behalf::test
