// The same flows with PostgreSQL as the store: what the protocol tests show on SQLite holds there too.
#include <gtest/gtest.h>

#include "support/postgres_fixture.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Postgres, the_delegated_flow_exchange_refresh_and_revocation) {
  REQUIRE_POSTGRES();
  TestServer server(PostgresCluster::shared()->fresh_database());
  const Reply first = server.flow("ca", "a1", "m1.use r2.read offline_access", kM1);
  ASSERT_EQ(first.status, 200) << first.body;
  const std::string t1 = first.text("access_token");
  const Reply second = server.exchange("m1", t1, "a2", {{"resource", kR2}, {"scope", "r2.read"}});
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(chain_of(second.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
  const Reply obo = server.on_behalf_of("m1", t1, kR2 + "/r2.read");
  ASSERT_EQ(obo.status, 200) << obo.body;

  const Fields refresh{{"grant_type", "refresh_token"}, {"refresh_token", first.text("refresh_token")}};
  const Reply refreshed = server.token("ca", with(refresh, {{"actor_token", server.assertion("a1")}}));
  ASSERT_EQ(refreshed.status, 200) << refreshed.body;
  EXPECT_EQ(chain_of(refreshed.text("access_token")), (std::vector<std::string>{"a1"}));

  // Suspending the agent at the bottom of the chain ends what stands above it, at once.
  server.suspend("agent", "a1");
  EXPECT_FALSE(server.is_active("m1", t1));
  EXPECT_FALSE(server.is_active("r2-server", second.text("access_token")));
  EXPECT_FALSE(server.is_active("r2-server", obo.text("access_token")));
  server.resume("agent", "a1");
  EXPECT_FALSE(server.is_active("m1", t1));
  EXPECT_TRUE(server.audit_chain_verifies());
}

TEST(Postgres, a_refusal_spends_the_code_and_leaves_its_record) {
  REQUIRE_POSTGRES();
  TestServer server(PostgresCluster::shared()->fresh_database());
  const auto code = server.get_code("ca", "a1", "r1.read");
  expect_refused(server, server.token("ca", server.redemption(code, "a2")), 400, "invalid_grant",
                 "actor_mismatch");
  expect_refused(server, server.token("ca", server.redemption(code, "a1")), 400, "invalid_grant",
                 "code_reused");
}

TEST(Postgres, a_database_that_goes_away_is_503_and_comes_back_by_itself) {
  REQUIRE_POSTGRES();
  TestServer server(PostgresCluster::shared()->fresh_database());
  const Fields ask{{"grant_type", "client_credentials"}, {"resource", kIssuer}};
  ASSERT_EQ(server.token("a1-runtime", ask).status, 200);
  PostgresCluster::shared()->stop();
  const Reply refused = server.token("a1-runtime", ask);
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_NE(refused.header("Retry-After"), "");
  EXPECT_EQ(refused.text("access_token"), "");
  PostgresCluster::shared()->start();
  EXPECT_EQ(server.token("a1-runtime", ask).status, 200);
  EXPECT_TRUE(server.audit_chain_verifies());
}

}  // namespace
}  // namespace behalf::test
