// Opaque access tokens (D-55): a resource may want tokens that say nothing. Asked about, they say what the
// JWT would have said; they are found by a keyed hash, and are subject tokens, assertions and revocable like
// any other.
#include <gtest/gtest.h>

#include <set>

#include "support/expectations.h"

namespace behalf::test {
namespace {

std::set<std::string> members(const json::Value& value) {
  std::set<std::string> names;
  for (const json::Member& member : *value.object()) names.insert(member.name);
  return names;
}

bool is_opaque(const std::string& token) {
  return token.starts_with("at_") && token.find('.') == std::string::npos;
}

TEST(OpaqueToken, introspection_says_what_the_jwt_would) {  // G-13, D-55
  TestServer server;
  const auto passed_on = [&] {
    const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
    const Reply reply = server.exchange("m1", t1, "a2", {{"resource", kR2}});
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.text("access_token");
  };
  const std::string jwt = passed_on();
  server.change("resources", kR2, "token_format", "opaque");
  const std::string opaque = passed_on();
  ASSERT_TRUE(is_opaque(opaque)) << opaque;
  const Reply of_jwt = server.introspect("r2-server", jwt);
  const Reply of_opaque = server.introspect("r2-server", opaque);
  ASSERT_EQ(of_opaque.status, 200);
  EXPECT_EQ(members(of_opaque.json), members(of_jwt.json));
  for (const char* name : {"active", "iss", "sub", "aud", "client_id", "azp", "scope", "sub_profile", "act",
                           "token_type", "acr", "amr"}) {
    ASSERT_NE(of_opaque.json.find(name), nullptr) << name;
    EXPECT_EQ(*of_opaque.json.find(name), *of_jwt.json.find(name)) << name;
  }
  EXPECT_NE(of_opaque.text("jti"), of_jwt.text("jti"));
  EXPECT_EQ(of_opaque.json.find_integer("exp"), *of_opaque.json.find_integer("iat") + 300);
  // Nobody but its audience learns anything, its holder neither.
  EXPECT_EQ(server.introspect("r1-server", opaque).body, "{\"active\":false}");
  EXPECT_EQ(server.introspect("m1", opaque).body, "{\"active\":false}");
  // Another process, which never saw it, finds it by the keyed hash.
  server.restart();
  EXPECT_EQ(server.introspect("r2-server", opaque).json, of_opaque.json);
  EXPECT_EQ(server.whole_audit_text().find(opaque.substr(29)), std::string::npos);
  server.clock.advance(Seconds{300});
  EXPECT_EQ(server.introspect("r2-server", opaque).body, "{\"active\":false}");
}

TEST(OpaqueToken, only_the_whole_secret_counts) {
  TestServer server;
  const std::string jwt = server.flow("ca", "a1", "r1.read").text("access_token");
  server.change("resources", kR1, "token_format", "opaque");
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string good = flow.text("access_token");
  ASSERT_TRUE(is_opaque(good));
  server.restart();  // nothing is remembered
  const auto code = server.get_code("ca", "a1", "r1.read");
  std::string wrong = good;
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  const std::string secret = good.substr(29);
  for (const std::string& token :
       {wrong, good.substr(0, good.size() - 1), good + "A", "at_" + text_at(claims_of(jwt), "jti") + secret,
        "at_" + flow.text("refresh_token").substr(3), "at_" + code.code.substr(3), "rt_" + good.substr(3),
        "at_" + secret}) {
    SCOPED_TRACE(token);
    EXPECT_EQ(server.introspect("ca", token).body, "{\"active\":false}");
    expect_refused(server, server.exchange("ca", token, "a2"), 400, "invalid_request", {}, {secret});
    EXPECT_EQ(server.as("ca", "/revoke", {{"token", token}}).status, 200);
  }
  EXPECT_TRUE(server.is_active("r1-server", good));
  EXPECT_TRUE(server.is_active("r1-server", jwt));  // issued before, as it was
}

TEST(OpaqueToken, is_a_subject_an_assertion_and_revocable) {  // D-62, D-63, D-80
  TestServer server;
  server.change("resources", kM1, "token_format", "opaque");
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  ASSERT_TRUE(is_opaque(t1));
  for (const bool remembered : {true, false}) {
    SCOPED_TRACE(remembered);
    if (!remembered) server.restart();
    const Reply exchanged = server.exchange("m1", t1, "a2", {{"resource", kR2}});
    ASSERT_EQ(exchanged.status, 200) << exchanged.body;
    EXPECT_EQ(chain_of(exchanged.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
    const Reply tier = server.on_behalf_of("m1", t1, kR2 + "/r2.read");
    ASSERT_EQ(tier.status, 200) << tier.body;
    EXPECT_EQ(chain_of(tier.text("access_token")), (std::vector<std::string>{"m1", "a1"}));
    expect_refused(server,
                   server.exchange("m1", t1, "a2", {{"resource", kR2}, {"subject_token_type", kJwtType}}),
                   400, "invalid_request", "subject_token_type_contradicts_token");
    expect_refused(server, server.exchange("cb", t1, "a2", {{"resource", kR2}}), 400, "invalid_request",
                   "subject_not_for_this_client");
    expect_refused(server,
                   server.token("ca", with(server.redemption(server.get_code("ca", "a1", "r1.read"), "a1"),
                                           {{"actor_token", t1}, {"actor_token_type", kAccessTokenType}})),
                   400, "invalid_grant", "actor_token_malformed");
  }
  const std::string below = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  ASSERT_EQ(server.as("cb", "/revoke", {{"token", t1}}).status, 200);
  EXPECT_TRUE(server.is_active("m1", t1));
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", t1}}).status, 200);
  EXPECT_FALSE(server.is_active("m1", t1));
  EXPECT_FALSE(server.is_active("r2-server", below));
  expect_refused(server, server.on_behalf_of("m1", t1, kR2 + "/r2.read"), 400, "invalid_grant",
                 "subject_ended");
}

TEST(OpaqueToken, an_actor_token_stays_a_jwt) {  // D-04
  TestServer server;
  for (const std::string& id : {kR1, kR2, kM1}) server.change("resources", id, "token_format", "opaque");
  const std::string proof = server.issued_actor_token("a1");
  EXPECT_EQ(text_at(header_of(proof), "typ"), "at+jwt");
  const Reply reply = server.token(
      "ca", with(server.redemption(server.get_code("ca", "a1", "r1.read"), ""), {{"actor_token", proof}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(is_opaque(reply.text("access_token")));
}

}  // namespace
}  // namespace behalf::test
