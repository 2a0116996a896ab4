// The audit log: one record per decision, the whole lineage in one query, the cause of every end, and no
// secret anywhere.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/test_server.h"

namespace behalf::test {
namespace {

std::vector<json::Value> records(TestServer& server, const std::string& query) {
  std::vector<json::Value> out;
  const Reply reply = server.admin("GET", "/audit?limit=1000&" + query);
  for (const json::Value& entry : *reply.json.find("records")->array()) {
    out.push_back(*json::parse(text_at(entry, "record")));
  }
  return out;
}

TEST(Audit, D53_one_record_per_decision_allowed_or_denied) {  // I13, Q-03
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const auto decide = [&](const std::string& event, const std::string& outcome, const auto& call) {
    SCOPED_TRACE(event + " " + outcome);
    const size_t before = server.audit().size();
    call();
    EXPECT_EQ(server.audit().size(), before + 1);
    EXPECT_EQ(text_at(server.last_audit(), "event"), event);
    EXPECT_EQ(text_at(server.last_audit(), "outcome"), outcome);
    EXPECT_NE(text_at(server.last_audit(), "request_id"), "");
    EXPECT_EQ(text_at(server.last_audit(), "peer"), "127.0.0.1");
  };
  decide("token.token-exchange", "allowed", [&] { server.exchange("ca", t1, "a2"); });
  decide("token.token-exchange", "denied", [&] { server.exchange("ca", t1, "a5"); });
  decide("token.client_credentials", "allowed", [&] { server.issued_actor_token("a1"); });
  decide("token.jwt-bearer", "denied", [&] { server.on_behalf_of("m1", t1, "r2.read"); });
  decide("token", "denied", [&] { server.post("/token", {{"grant_type", "authorization_code"}}); });
  decide("introspect", "allowed", [&] { server.introspect("r1-server", t1); });
  decide("introspect", "denied", [&] { server.introspect("m1", t1); });
  decide("revoke", "denied", [&] { server.as("cb", "/revoke", {{"token", t1}}); });
  EXPECT_TRUE(server.audit_chain_verifies());
}

TEST(Audit, D54_one_query_by_grant_shows_the_whole_lineage) {  // Q-02, Q-06
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string t2 = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  server.exchange("m1", t1, "a6", {{"resource", kR2}});
  const auto lineage = records(server, "grant=" + text_at(claims_of(t1), "grant_id"));
  std::string events;
  for (const json::Value& record : lineage)
    events += text_at(record, "event") + ":" + text_at(record, "outcome") + " ";
  EXPECT_NE(events.find(
                "token.authorization_code:allowed token.token-exchange:allowed token.token-exchange:denied"),
            std::string::npos)
      << events;
  const json::Value& hop = lineage[lineage.size() - 2];
  EXPECT_EQ(text_at(hop, "node"), text_at(claims_of(t2), "jti"));
  EXPECT_EQ(text_at(hop, "parent"), text_at(claims_of(t1), "jti"));
  EXPECT_EQ(*hop.find("chain"), json_of(R"(["a2","a1"])"));
  EXPECT_EQ(text_at(hop, "user"), "u1");
  EXPECT_EQ(text_at(hop, "client"), "m1");
  EXPECT_EQ(text_at(hop, "agent"), "a2");

  server.flow("cb", "a1", "r1.read", kR1, {.user = "u2", .allow = true, .scopes = {}, .onward = true});
  std::string users;
  for (const json::Value& record : records(server, "agent=a1&event=token.authorization_code"))
    users += text_at(record, "user") + " ";
  EXPECT_EQ(users, "u1 u2 ");
  for (const json::Value& record : records(server, "user=u2")) EXPECT_EQ(text_at(record, "user"), "u2");
}

TEST(Audit, D30_a_cascade_leaves_one_record_per_ended_thing_with_the_cause) {  // Q-07
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  server.suspend("agent", "a1");
  std::vector<std::string> ended;
  size_t grants = 0;
  for (const json::Value& record : records(server, "grant=" + text_at(claims_of(t1), "grant_id"))) {
    if (!text_at(record, "event").ends_with(".end")) continue;
    EXPECT_EQ(text_at(record, "reason"), "agent_suspended");
    if (text_at(record, "event") == "grant.end")
      ++grants;
    else
      ended.push_back(text_at(record, "node"));
  }
  EXPECT_EQ(grants, 1u);
  for (const std::string& token : {t1, t2}) {
    EXPECT_EQ(std::count(ended.begin(), ended.end(), text_at(claims_of(token), "jti")), 1);
  }
}

TEST(Audit, I14_no_secret_is_anywhere_in_it) {  // Q-04
  TestServer server;
  const auto code = server.get_code("ca", "a1", "r1.read offline_access");
  const Fields redemption = server.redemption(code, "a1");
  const Reply flow = server.token("ca", redemption);
  const std::string t1 = flow.text("access_token");
  const std::string rt = flow.text("refresh_token");
  ASSERT_NE(rt, "");
  std::vector<std::string> secrets{code.code, code.pkce.verifier, t1, rt, kPassword};
  for (const auto& [name, value] : redemption) {
    if (name == "actor_token") secrets.push_back(value);
  }
  const std::string proof = server.assertion("a2");
  secrets.push_back(proof);
  secrets.push_back(server.exchange("ca", t1, "", {{"actor_token", proof}, {"actor_token_type", kJwtType}})
                        .text("access_token"));
  server.exchange("ca", proof, "", {{"actor_token", t1}, {"actor_token_type", kJwtType}});
  server.introspect("ca", rt);
  server.introspect("ca", code.code);
  server.token("ca", {{"grant_type", "refresh_token"}, {"refresh_token", code.code}});
  server.token("ca", with(redemption, {{"code", rt}}));
  server.as("cb", "/revoke", {{"token", rt}});
  for (const std::string& client : {std::string("ca"), std::string("m1")})
    secrets.push_back(server.basic(client).find("Authorization")->substr(6));
  const std::string log = server.whole_audit_text();
  EXPECT_TRUE(server.audit_chain_verifies());
  for (const std::string& secret : secrets) {
    ASSERT_NE(secret, "");
    EXPECT_EQ(log.find(secret), std::string::npos) << secret;
    const size_t dot = secret.rfind('.');  // the part that cannot be guessed
    if (dot != std::string::npos && dot + 20 < secret.size()) {
      EXPECT_EQ(log.find(secret.substr(dot + 1)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace behalf::test
