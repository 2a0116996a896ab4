// What of the chain a token shows: all of it, unless an operator says otherwise for On-Behalf-Of (D-82) or
// for one resource (D-92). The ledger and the audit log always have all of it, and so does whatever is passed
// on from there.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

std::vector<std::string> audited_chain(TestServer& server) {
  std::vector<std::string> chain;
  const json::Value record = server.last_audit();
  for (const json::Value& actor : *record.find("chain")->array()) chain.push_back(*actor.string());
  return chain;
}

bool says_incomplete(const Reply& introspection) {
  const json::Value* complete = introspection.json.find("chain_complete");
  return complete != nullptr && *complete == json::Value(false);
}

TEST(ChainDisclosure, on_behalf_of_without_act) {  // K-02, D-82
  TestServer server;
  const std::string tc = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  server.configure([](oauth::Settings& settings) { settings.obo_emit_act = false; });
  const Reply reply = server.on_behalf_of("m1", tc, kR2 + "/r2.read");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(audited_chain(server), (std::vector<std::string>{"m1", "a1"}));
  const std::string token = reply.text("access_token");
  EXPECT_EQ(claims_of(token).find("act"), nullptr);
  EXPECT_EQ(text_at(claims_of(token), "azp"), "m1");
  EXPECT_EQ(text_at(claims_of(token), "sub"), "u1");
  const Reply shown = server.introspect("r2-server", token);
  EXPECT_EQ(shown.json.find("act"), nullptr);
  EXPECT_TRUE(says_incomplete(shown)) << shown.body;
  // An exchange from it shows everyone again; nothing was lost.
  server.change("clients", "r2-server", "introduces", json_of(R"(["a2"])"));
  const Reply onward = server.exchange("r2-server", token, "a2", {{"resource", kR1}});
  ASSERT_EQ(onward.status, 200) << onward.body;
  EXPECT_EQ(chain_of(onward.text("access_token")), (std::vector<std::string>{"a2", "m1", "a1"}));
  EXPECT_FALSE(says_incomplete(server.introspect("r1-server", onward.text("access_token"))));
  // Token exchange by the same client is not touched by the switch.
  EXPECT_EQ(chain_of(server.exchange("m1", tc, "a2", {{"resource", kR2}}).text("access_token")),
            (std::vector<std::string>{"a2", "a1"}));
  server.suspend("agent", "a1");
  EXPECT_FALSE(server.is_active("r2-server", token));
}

TEST(ChainDisclosure, a_refresh_shows_no_more) {
  TestServer server;
  server.configure([](oauth::Settings& settings) { settings.obo_emit_act = false; });
  server.change("clients", "m1", "grant_types", json_of("[\"refresh_token\",\"" + kJwtBearer + "\"]"));
  server.change("clients", "m1", "refresh_lifetime", "2h");
  const std::string tc = server.flow("ca", "a1", "m1.use r2.read offline_access", kM1).text("access_token");
  const std::string rt = server.on_behalf_of("m1", tc, kR2 + "/r2.read offline_access").text("refresh_token");
  ASSERT_NE(rt, "");
  const Reply refreshed = server.token("m1", {{"grant_type", "refresh_token"}, {"refresh_token", rt}});
  ASSERT_EQ(refreshed.status, 200) << refreshed.body;
  EXPECT_EQ(claims_of(refreshed.text("access_token")).find("act"), nullptr);
  EXPECT_EQ(audited_chain(server), (std::vector<std::string>{"m1", "a1"}));
}

TEST(ChainDisclosure, a_resource_that_sees_only_who_acts_now) {  // P-17, D-92
  TestServer server;
  server.change("resources", kR2, "chain_disclosure", "outermost");
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string token = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  EXPECT_EQ(audited_chain(server), (std::vector<std::string>{"a2", "a1"}));
  EXPECT_EQ(chain_of(token), std::vector<std::string>{"a2"});
  const Reply shown = server.introspect("r2-server", token);
  EXPECT_TRUE(says_incomplete(shown)) << shown.body;
  EXPECT_EQ(*shown.json.find("act"), *claims_of(token).find("act"));
  EXPECT_EQ(shown.json.find("act")->find("act"), nullptr);
  // Whether something is left out is not told apart by the length of the chain.
  const std::string direct = server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  EXPECT_TRUE(says_incomplete(server.introspect("r2-server", direct)));
  // Others see all of it, also of what comes from there.
  EXPECT_FALSE(says_incomplete(server.introspect("m1", t1)));
  server.change("clients", "r2-server", "acts_as_service", true);
  const Reply onward = server.exchange("r2-server", token, "", {{"resource", kR1}});
  ASSERT_EQ(onward.status, 200) << onward.body;
  EXPECT_EQ(chain_of(onward.text("access_token")), (std::vector<std::string>{"r2-server", "a2", "a1"}));
  server.suspend("agent", "a1");
  EXPECT_FALSE(server.is_active("r2-server", token));
}

}  // namespace
}  // namespace behalf::test
