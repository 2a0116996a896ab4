// Resource indicators (RFC 8707): known, whole, inside what was authorized, and one audience for each token
// (D-37, D-38).
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(Rfc8707, S2_a_resource_is_absolute_known_and_within_the_agents_reach) {  // B-24, 30
  TestServer server;
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  for (const char* uri : {"/r1", "api.example/r1", "https://api.example/r1#f", "https://api.example/r1#",
                          "https://api.example/none", "https://api.example/r1/",
                          "https://api.example:8443/r1", "https://api.example.evil.example/r1", "urn:none"}) {
    SCOPED_TRACE(uri);
    expect_sent_back(server, ask(server, with(good, {{"resource", uri}})), "invalid_target",
                     "target_unknown");
    expect_refused(server, server.as("ca", "/par", with(good, {{"resource", uri}})), 400, "invalid_target",
                   "target_unknown");
  }
  Fields one_wrong = good;
  one_wrong.emplace_back("resource", "https://api.example/none");
  expect_sent_back(server, ask(server, one_wrong), "invalid_target", "target_unknown");
  Fields repeated = good;
  repeated.emplace_back("resource", kR1);
  repeated.emplace_back("resource", kR2);
  EXPECT_EQ(ask(server, repeated).status, 303);
  EXPECT_TRUE(ask(server, repeated).header("Location").starts_with("/login"));
  server.change("agents", "a1", "resources", json::Value::Array{kR2});
  expect_sent_back(server, ask(server, good), "invalid_target", "agent_not_for_this_resource");
}

TEST(Rfc8707, S2_2_each_token_has_one_audience_out_of_those_authorized) {  // E-26, E-24, G-05
  TestServer server;
  Browser browser(server);
  const auto code_for_both = [&] {
    TestServer::Code code{.code = {}, .pkce = make_pkce()};
    Fields fields = server.authorization("ca", "a1", "r1.read r2.read", code.pkce);
    fields.emplace_back("resource", kR2);
    code.code = server.authorize(browser, fields).location_parameter("code");
    return code;
  };
  expect_refused(server, server.token("ca", server.redemption(code_for_both(), "a1")), 400, "invalid_target",
                 "target_ambiguous");
  Fields both = server.redemption(code_for_both(), "a1");
  both.emplace_back("resource", kR1);
  both.emplace_back("resource", kR2);
  expect_refused(server, server.token("ca", both), 400, "invalid_target");
  expect_refused(server,
                 server.token("ca", with(server.redemption(code_for_both(), "a1"), {{"resource", kM1}})), 400,
                 "invalid_target", "target_not_granted");
  const Reply one = server.token("ca", with(server.redemption(code_for_both(), "a1"), {{"resource", kR2}}));
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(text_at(claims_of(one.text("access_token")), "aud"), kR2);
  EXPECT_EQ(one.text("scope"), "r2.read");
  EXPECT_TRUE(server.is_active("r2-server", one.text("access_token")));
  EXPECT_FALSE(server.is_active("r1-server", one.text("access_token")));
}

}  // namespace
}  // namespace behalf::test
