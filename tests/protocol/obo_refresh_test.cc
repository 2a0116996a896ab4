// Refresh tokens from an On-Behalf-Of call: only where it was asked for, the person allowed use while away,
// and every actor of the chain may have one. They keep the chain and the narrowing, and end with what is
// above them; what is above does not end with them.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

class OboRefresh : public ::testing::Test {
 protected:
  void SetUp() override {
    server.change("clients", "m1", "grant_types",
                  json_of("[\"refresh_token\",\"" + kExchange + "\",\"" + kJwtBearer + "\"]"));
    server.change("clients", "m1", "refresh_lifetime", "2h");
  }
  // The client's own answer, and m1's from it.
  void start(const std::string& scope = "m1.use r2.read offline_access") {
    client = server.flow("ca", "a1", scope, kM1);
    ASSERT_EQ(client.status, 200) << client.body;
    tier = server.on_behalf_of("m1", client.text("access_token"), kR2Read + " offline_access");
    ASSERT_EQ(tier.status, 200) << tier.body;
  }
  Reply refresh(const std::string& token, const Fields& more = {}, const std::string& who = "m1") {
    return server.token(who, with({{"grant_type", "refresh_token"}, {"refresh_token", token}}, more));
  }
  Reply refresh_of_client() {
    return refresh(client.text("refresh_token"), {{"actor_token", server.assertion("a1")}, {"resource", kM1}},
                   "ca");
  }
  void expect_ended(const std::string& reason = {}) {
    expect_refused(server, refresh(tier.text("refresh_token")), 400, "invalid_grant", reason,
                   {tier.text("refresh_token")});
  }
  TestServer server;
  Reply client, tier;
};

TEST_F(OboRefresh, keeps_the_chain_and_the_narrowing) {  // K-13, D-31, D-36
  start();
  EXPECT_EQ(tier.text("scope"), "r2.read");
  std::string token = tier.text("refresh_token");
  ASSERT_NE(token, "");
  const json::Value first = claims_of(tier.text("access_token"));
  server.clock.advance(Seconds{301});  // the assertion is long over
  ASSERT_FALSE(server.is_active("m1", client.text("access_token")));
  for (int i = 0; i < 3; ++i) {
    const Reply reply = refresh(token);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::Value now = claims_of(reply.text("access_token"));
    EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"m1", "a1"}));
    for (const char* name : {"sub", "aud", "client_id", "scope", "grant_id", "act", "auth_time", "acr"}) {
      ASSERT_NE(now.find(name), nullptr) << name;
      EXPECT_EQ(*now.find(name), *first.find(name)) << name;
    }
    EXPECT_TRUE(server.is_active("r2-server", reply.text("access_token")));
    EXPECT_NE(reply.text("refresh_token"), token);
    token = reply.text("refresh_token");
  }
  expect_refused(server, refresh(token, {{"scope", "r1.read"}}), 400, "invalid_scope", "scope_widening");
  expect_refused(server, refresh(token, {{"resource", kR1}}), 400, "invalid_target", "target_not_granted");
  expect_refused(server, refresh(token, {}, "ca"), 400, "invalid_grant", "refresh_token_of_other_client");
  EXPECT_EQ(refresh(token).status, 200);
}

TEST_F(OboRefresh, its_end_is_set_once) {  // D-64
  start();
  std::string token = tier.text("refresh_token");
  const int64_t end = server.clock.now().seconds() + 7200;
  for (int i = 0; i < 7; ++i) {
    server.clock.advance(Seconds{1000});
    const Reply reply = refresh(token);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_LE(*claims_of(reply.text("access_token")).find_integer("exp"), end);
    token = reply.text("refresh_token");
  }
  server.clock.advance(Seconds{201});
  expect_refused(server, refresh(token), 400, "invalid_grant", "refresh_token_expired");
}

TEST_F(OboRefresh, an_agent_that_passes_on_says_how_long) {  // D-64
  server.change("agents", "a1", "onward", json_of(R"({"to":["m1"],"depth":2,"lifetime":"2m"})"));
  start();
  server.clock.advance(Seconds{100});
  const Reply reply = refresh(tier.text("refresh_token"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_LE(*reply.json.find_integer("expires_in"), 20);
  server.clock.advance(Seconds{21});
  expect_refused(server, refresh(reply.text("refresh_token")), 400, "invalid_grant", "refresh_token_expired");
}

TEST_F(OboRefresh, none_where_anything_is_missing) {  // K-13, D-31
  const auto refresh_token_of = [&](const std::string& scope, const std::string& asked) {
    client = server.flow("ca", "a1", scope, kM1);
    const Reply reply = server.on_behalf_of("m1", client.text("access_token"), asked);
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.text("scope"), "r2.read");
    return reply.text("refresh_token");
  };
  const std::string scope = "m1.use r2.read offline_access", asked = kR2Read + " offline_access";
  EXPECT_EQ(refresh_token_of("m1.use r2.read", asked), "") << "the person did not allow use while away";
  EXPECT_NE(refresh_token_of(scope, asked), "");
  EXPECT_EQ(refresh_token_of(scope, kR2Read), "") << "not asked for";
  server.change("agents", "a1", "refresh_lifetime", json::Value{});
  EXPECT_EQ(refresh_token_of(scope, asked), "") << "the agent above may have none";
  server.change("agents", "a1", "refresh_lifetime", "8h");
  server.change("clients", "m1", "refresh_lifetime", json::Value{});
  EXPECT_EQ(refresh_token_of(scope, asked), "") << "the service may have none";
  server.change("clients", "m1", "refresh_lifetime", "2h");
  server.change("clients", "m1", "grant_types", json_of("[\"" + kExchange + "\",\"" + kJwtBearer + "\"]"));
  EXPECT_EQ(refresh_token_of(scope, asked), "") << "the client has not the grant type";
}

TEST_F(OboRefresh, ends_with_what_is_above_it) {  // D-30, D-63
  start();
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", client.text("access_token")}}).status, 200);
  expect_ended("refresh_token_ended");
  start();
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", client.text("refresh_token")}}).status, 200);
  expect_ended("refresh_token_ended");
  start();
  server.change("agents", "a1", "onward", json_of(R"({"to":["a2"],"depth":2})"));
  expect_ended("onward_forbidden");
  server.change("agents", "a1", "onward", json_of(R"({"to":["m1"],"depth":2})"));
  start();
  server.suspend("client", "ca");
  expect_ended("refresh_token_ended");
  server.resume("client", "ca");
  expect_ended("refresh_token_ended");
  start();
  server.suspend("agent", "a1");
  expect_ended("refresh_token_ended");
  server.resume("agent", "a1");
  start();
  server.suspend("user", "u1");
  expect_ended("refresh_token_ended");
}

TEST_F(OboRefresh, what_the_tier_does_to_it_stays_below) {  // I12, RFC 7009 §2.1, RFC 9700 §4.14
  start();
  const Reply second = refresh(tier.text("refresh_token"));
  ASSERT_EQ(second.status, 200) << second.body;
  server.clock.advance(Seconds{61});
  expect_ended("refresh_token_reused");
  expect_refused(server, refresh(second.text("refresh_token")), 400, "invalid_grant", "refresh_token_ended");
  EXPECT_FALSE(server.is_active("r2-server", second.text("access_token")));
  EXPECT_FALSE(server.is_active("r2-server", tier.text("access_token")));
  EXPECT_TRUE(server.is_active("m1", client.text("access_token")));
  EXPECT_EQ(refresh_of_client().status, 200);

  start();
  ASSERT_EQ(server.as("m1", "/revoke", {{"token", tier.text("refresh_token")}}).status, 200);
  expect_ended("refresh_token_ended");
  EXPECT_FALSE(server.is_active("r2-server", tier.text("access_token")));
  EXPECT_TRUE(server.is_active("m1", client.text("access_token")));

  start();  // proof of an agent where none is bound: swapped
  expect_refused(server, refresh(tier.text("refresh_token"), {{"actor_token", server.assertion("a1")}}), 400,
                 "invalid_grant", "actor_token_without_actor");
  expect_ended("refresh_token_ended");
  EXPECT_EQ(refresh_of_client().status, 200);
}

TEST_F(OboRefresh, a_demand_on_the_sign_in_is_asked_again) {  // D-83
  start();
  server.change("resources", kR2, "required_acr", "gold");
  expect_refused(server, refresh(tier.text("refresh_token")), 400, "interaction_required",
                 "step_up_required");
}

// Found here: the code at the root of a lineage is purged a day later; ending the lineage must not depend on
// it.
TEST_F(OboRefresh, a_family_ends_also_when_its_root_is_gone) {
  server.change("agents", "a1", "refresh_lifetime", "30d");
  start();
  server.clock.advance(Seconds{2 * 86400});
  size_t gone = 0;
  server.services().store.run([&](store::Transaction& transaction) {
    gone = transaction.purge(server.clock.now() - oauth::kKeepExpired, 10000);
  });
  ASSERT_GE(gone, 3u);
  const Reply again = refresh_of_client();
  ASSERT_EQ(again.status, 200) << again.body;
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", again.text("refresh_token")}}).status, 200);
  expect_refused(server,
                 refresh(again.text("refresh_token"),
                         {{"actor_token", server.assertion("a1")}, {"resource", kM1}}, "ca"),
                 400, "invalid_grant", "refresh_token_ended");
  EXPECT_FALSE(server.is_active("ca", again.text("access_token")));
}
TEST_F(OboRefresh, ends_with_what_is_taken_above) {  // D-23, I3, I5, 214
  start();
  const auto taken = [&](const char* kinds, const char* id, const char* member, json::Value less,
                         const char* error, const char* reason) {
    SCOPED_TRACE(member);
    server.change(kinds, id, member, std::move(less));
    expect_refused(server, refresh(tier.text("refresh_token")), 400, error, reason);
  };
  taken("agents", "a1", "users", list({"u2"}), "invalid_grant", "agent_not_for_this_user");
  server.change("agents", "a1", "users", list({"*"}));
  taken("agents", "a1", "onward", json_of(R"({"to":["a2"],"depth":4})"), "invalid_grant", "onward_forbidden");
  server.change("agents", "a1", "onward", json_of(R"({"to":["m1"],"depth":4})"));
  taken("clients", "ca", "scopes", list({"r1.write"}), "invalid_scope", "scope_empty");
  server.change("clients", "ca", "scopes", list({"r1.read", "r1.write", "r2.read", "m1.use"}));
  EXPECT_EQ(refresh(tier.text("refresh_token")).status, 200) << "what is given back is there again";
}

}  // namespace
}  // namespace behalf::test
