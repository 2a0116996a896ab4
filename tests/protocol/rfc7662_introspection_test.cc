// Token introspection (RFC 7662): for the token's audience and its holder, and nothing but {"active":false}
// for anybody and anything else.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

void expect_inactive(TestServer& server, const std::string& client, const std::string& token,
                     const std::string& reason = {}) {
  const Reply reply = server.introspect(client, token);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "{\"active\":false}");
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_EQ(text_at(server.last_audit(), "outcome"), "denied");
  if (!reason.empty()) {
    EXPECT_EQ(text_at(server.last_audit(), "reason"), reason);
  }
}

TEST(Rfc7662, S2_2_an_active_token_shows_what_the_jwt_says) {  // P-01, D-55
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string t2 = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  const Reply reply = server.introspect("r2-server", t2);
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  const json::Value claims = claims_of(t2);
  for (const json::Member& claim : *claims.object()) {
    const json::Value* shown = reply.json.find(claim.name);
    ASSERT_NE(shown, nullptr) << claim.name;
    EXPECT_EQ(*shown, claim.value) << claim.name;
  }
  EXPECT_EQ(*reply.json.find("active"), json::Value(true));
  EXPECT_EQ(reply.text("token_type"), "Bearer");
  EXPECT_EQ(text_at(*reply.json.find("act")->find("act"), "sub"), "a1");
  EXPECT_NE(reply.text("grant_id"), "");
}

TEST(Rfc7662, S2_2_everything_else_is_inactive_in_the_same_bytes) {  // P-02, P-04, 221, 222
  TestServer server;
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string t1 = flow.text("access_token");
  ASSERT_TRUE(server.is_active("r1-server", t1));
  // Neither who holds a token, nor anyone of a refresh token.
  expect_inactive(server, "ca", t1, "not_for_this_caller");
  for (const char* client : {"ca", "r1-server"})
    expect_inactive(server, client, flow.text("refresh_token"), "not_for_this_caller");
  expect_inactive(server, "r2-server", t1, "not_for_this_caller");
  expect_inactive(server, "cb", t1, "not_for_this_caller");
  expect_inactive(server, "m1", t1, "not_for_this_caller");
  expect_inactive(server, "r1-server", flow.text("refresh_token"), "not_for_this_caller");
  expect_inactive(server, "r1-server", server.issued_actor_token("a1"), "not_for_this_caller");
  std::string tampered = t1;
  tampered[tampered.size() - 10] = tampered[tampered.size() - 10] == 'A' ? 'B' : 'A';
  json::Value foreign = claims_of(t1);
  for (const std::string& token :
       {tampered, std::string("garbage"), std::string("a.b.c"), server.assertion("a1"),
        server.sign("a1", "at+jwt", foreign), std::string(50'000, 'x'), t1 + ".", t1 + "," + t1,
        "rt_" + std::string(60, 'A')}) {
    SCOPED_TRACE(token.substr(0, 40));
    expect_inactive(server, "r1-server", token);
  }
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", t1}}).status, 200);
  expect_inactive(server, "r1-server", t1, "ended");
  const std::string t2 = server.flow("ca", "a1", "r1.read").text("access_token");
  server.clock.advance(Seconds{300});
  expect_inactive(server, "r1-server", t2, "expired");
  EXPECT_EQ(server.whole_audit_text().find(t1), std::string::npos);
}

TEST(Rfc7662, S2_2_a_scope_that_was_taken_away_is_no_longer_told) {  // 214
  TestServer server;
  const auto list = [](std::initializer_list<const char*> items) {
    json::Value::Array array;
    for (const char* item : items) array.emplace_back(item);
    return array;
  };
  const std::string both = server.flow("ca", "a1", "r1.read r1.write").text("access_token");
  const std::string one = server.flow("ca", "a1", "r1.write").text("access_token");
  EXPECT_EQ(server.introspect("r1-server", both).text("scope"), "r1.read r1.write");
  server.change("agents", "a1", "scopes", list({"r1.read", "r2.read", "m1.use"}));
  EXPECT_EQ(server.introspect("r1-server", both).text("scope"), "r1.read");
  const Reply gone = server.introspect("r1-server", one);
  EXPECT_EQ(gone.body, R"({"active":false})");
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "scope_withdrawn");
  server.change("agents", "a1", "scopes", list({"r1.read", "r1.write", "r2.read", "m1.use"}));
  EXPECT_TRUE(server.is_active("r1-server", one)) << "what is given back is there again";
}

TEST(Rfc7662, S2_2_a_resource_that_is_gone_leaves_nothing_to_tell) {
  TestServer server;
  const std::string token = server.flow("ca", "a1", "r1.read", kR1).text("access_token");
  json::Value rest = server.admin("GET", "/state").json;
  for (json::Member& member : *rest.object()) {
    for (json::Value& item : *member.value.array()) item.remove("status");
    if (member.name == "resources") {
      std::erase_if(*member.value.array(),
                    [](const json::Value& item) { return text_at(item, "id") == kR1; });
    }
    if (member.name != "clients") continue;
    for (json::Value& client : *member.value.array()) {
      if (text_at(client, "resource") == kR1) client.remove("resource");
    }
  }
  rest.set("prune", true);
  server.apply(rest);
  EXPECT_EQ(server.introspect("r1-server", token).body, R"({"active":false})");
  expect_refused(server, server.exchange("ca", token, "a2", {{"resource", kR2}}), 400, "invalid_target");
  expect_refused(server, server.exchange("ca", token, ""), 400, "invalid_target");
}

TEST(Rfc7662, S2_1_only_authenticated_clients_may_ask) {  // 221
  TestServer server;
  const std::string t1 = server.flow("cp", "a1", "r1.read").text("access_token");
  ASSERT_NE(t1, "");
  expect_refused(server, server.introspect("cp", t1), 401, "invalid_client", "public_client");
  expect_refused(server, server.post("/introspect", {{"token", t1}}), 401, "invalid_client", "no_client");
  expect_refused(server, server.post("/introspect", {{"token", t1}, {"client_id", "r1-server"}}), 401,
                 "invalid_client", "no_credentials");
  expect_refused(server, server.as("r1-server", "/introspect", {}), 400, "invalid_request", "token_missing");
  expect_refused(server, server.as("r1-server", "/introspect", {{"token", t1}, {"token", t1}}), 400,
                 "invalid_request", "repeated_parameter");
  EXPECT_TRUE(server.is_active("r1-server", t1));
}

}  // namespace
}  // namespace behalf::test
