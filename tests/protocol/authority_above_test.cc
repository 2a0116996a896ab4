// What stands above a token counts for it, whoever holds it now (invariants I3, I5, I6; decisions D-23, D-50,
// D-61, D-63, D-66).
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

// Held by m1, addressed to m1: a2, for whom a1 passed it on.
std::string held_by_its_audience(TestServer& server) {
  return server.exchange("m1", m1_token(server), "a2", {{"resource", kM1}, {"scope", "r2.read"}})
      .text("access_token");
}

TEST(AuthorityAbove, a_holder_that_is_the_audience_too_calls_on_like_any_other) {  // D-66, J-47
  TestServer server;
  const std::string own = held_by_its_audience(server);
  ASSERT_FALSE(own.empty());
  expect_refused(server, server.exchange("m1", own, "", {{"resource", kR2}}), 400, "invalid_request",
                 "no_actor");
  // Staying where it is, it makes its own token smaller.
  EXPECT_EQ(server.exchange("m1", own, "", {{"resource", kM1}}).status, 200);
  server.change("clients", "m1", "acts_as_service", true);
  server.change("agents", "a2", "onward", json_of(R"({"to":["m1"],"depth":3})"));
  const Reply as_itself = server.exchange("m1", own, "", {{"resource", kR2}});
  ASSERT_EQ(as_itself.status, 200) << as_itself.body;
  EXPECT_EQ(text_at(*claims_of(as_itself.text("access_token")).find("act"), "sub"), "m1")
      << "it acts, and is named";
}

TEST(AuthorityAbove, the_table_of_scopes_is_for_calling_on) {  // D-65
  TestServer server;
  server.change(
      "resources", kM1, "scopes",
      json_of(
          R"([{"name":"m1.use","title":"t","description":"d"},{"name":"r1.read","title":"t","description":"d"},
                            {"name":"r2.read","title":"t","description":"d"}])"));
  server.change("clients", "m1", "redirect_uris", list({kRedirect}));
  server.change("clients", "m1", "grant_types",
                list({"urn:ietf:params:oauth:grant-type:token-exchange", "authorization_code"}));
  const std::string own = server.flow("m1", "a1", "m1.use", kM1).text("access_token");
  ASSERT_FALSE(own.empty());
  expect_refused(server, server.exchange("m1", own, "", {{"resource", kM1}, {"scope", "r2.read"}}), 400,
                 "invalid_scope", "scope_widening");
}

TEST(AuthorityAbove, the_agent_that_acts_already_is_passed_on_at_another_client) {  // J-27, J-47, D-50
  TestServer server;
  const Decision kept{.user = "u1", .allow = true, .scopes = {}, .onward = false};
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1, kept).text("access_token");
  for (const char* actor : {"a1", "a2"}) {
    expect_refused(server, server.exchange("m1", t1, actor, {{"resource", kR2}}), 400, "invalid_request",
                   "onward_depth_used_up");
  }
  EXPECT_EQ(server.exchange("ca", t1, "a1").status, 200) << "its own client only makes it smaller";
  TestServer other;
  const Reply allowed = other.exchange("m1", m1_token(other), "a1", {{"resource", kR2}});
  ASSERT_EQ(allowed.status, 200) << allowed.body;
  EXPECT_EQ(claims_of(allowed.text("access_token")).find("act")->find("act"), nullptr) << "no further hop";
}

TEST(AuthorityAbove, a_consent_to_two_resources_is_not_a_token_for_both) {  // I3, 124
  TestServer server;
  Browser browser(server);
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  Fields asked = server.authorization("ca", "a1", "r2.read", code.pkce);
  asked.emplace_back("resource", kR2);
  code.code = server.authorize(browser, asked).location_parameter("code");
  const std::string t1 =
      server.token("ca", with(server.redemption(code, "a1"), {{"resource", kR1}})).text("access_token");
  ASSERT_FALSE(t1.empty());
  for (const char* actor : {"", "a2"}) {
    expect_refused(server, server.exchange("ca", t1, actor, {{"resource", kR2}}), 400, "invalid_target",
                   "target_widening");
  }
}

// Everything that m1 makes of a token of ca and a1; `r2` of one, by whatever way.
struct Below {
  explicit Below(TestServer& server) : t1(m1_token(server)) {
    t2 = server.on_behalf_of("m1", t1, kR2 + "/r2.read").text("access_token");
    t3 = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  }
  std::string t1, t2, t3;
};

void expect_all_end(TestServer& server, const Below& below) {
  EXPECT_FALSE(server.is_active("m1", below.t1));
  EXPECT_FALSE(server.is_active("r2-server", below.t2));
  EXPECT_FALSE(server.is_active("r2-server", below.t3));
  EXPECT_EQ(server.exchange("m1", below.t1, "a2", {{"resource", kR2}}).status, 400);
  EXPECT_EQ(server.on_behalf_of("m1", below.t1, kR2 + "/r2.read").status, 400);
  EXPECT_EQ(server.exchange("m1", below.t3, "").status, 400);
}

void expect_all_stand(TestServer& server, const Below& below) {
  EXPECT_TRUE(server.is_active("m1", below.t1));
  EXPECT_TRUE(server.is_active("r2-server", below.t2));
  EXPECT_TRUE(server.is_active("r2-server", below.t3));
}

TEST(AuthorityAbove, what_is_taken_above_is_gone_below) {  // I3, I5, D-23, 140, 214
  const struct {
    const char* what;
    const char* kinds;
    const char* id;
    const char* member;
    const char* taken;
    const char* given;
  } kChanges[] = {
      {"scopes of the client", "clients", "ca", "scopes", R"(["r1.write"])",
       R"(["r1.read","r1.write","r2.read","m1.use"])"},
      {"scopes of the agent", "agents", "a1", "scopes", R"(["r1.write"])",
       R"(["r1.read","r1.write","r2.read","m1.use"])"},
      {"persons of the agent", "agents", "a1", "users", R"(["u2"])", R"(["*"])"},
      {"clients of the agent", "agents", "a1", "clients", R"(["cb"])", R"(["*"])"},
      {"resources of the agent", "agents", "a1", "resources", R"(["https://api.example/r2"])", R"(["*"])"},
  };
  for (const auto& change : kChanges) {
    SCOPED_TRACE(change.what);
    TestServer server;
    const Below below(server);
    expect_all_stand(server, below);
    server.change(change.kinds, change.id, change.member, json_of(change.taken));
    expect_all_end(server, below);
    server.change(change.kinds, change.id, change.member, json_of(change.given));
    expect_all_stand(server, below);
  }
}

TEST(AuthorityAbove, who_no_longer_passes_on_takes_back_what_was_passed_on) {  // D-23, I5
  for (const char* onward : {R"({"to":["m1"],"depth":4})", R"({"to":["a2","m1"],"depth":0})"}) {
    SCOPED_TRACE(onward);
    TestServer server;
    const Below below(server);
    server.change("agents", "a1", "onward", json_of(onward));
    EXPECT_TRUE(server.is_active("m1", below.t1)) << "that was not passed on";
    EXPECT_FALSE(server.is_active("r2-server", below.t3));
    expect_refused(server, server.exchange("r2-server", below.t3, "a4"), 400, "invalid_request");
  }
}

TEST(AuthorityAbove, a_table_that_lost_its_row_gives_nothing_any_more) {  // D-65, 214
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "m1.use", kM1).text("access_token");
  const std::string t2 =
      server.exchange("m1", t1, "a2", {{"resource", kR2}, {"scope", "r2.read"}}).text("access_token");
  ASSERT_TRUE(server.is_active("r2-server", t2));
  server.change("resources", kM1, "scope_map", json::Value::Array{});
  EXPECT_FALSE(server.is_active("r2-server", t2));
}

TEST(AuthorityAbove, an_expired_token_is_revoked_whatever_is_remembered) {  // D-63
  TestServer server;
  const Below below(server);
  server.clock.advance(Seconds{310});
  server.restart();
  EXPECT_EQ(server.as("ca", "/revoke", {{"token", below.t1}}).status, 200);
  EXPECT_EQ(text_at(server.last_audit(), "outcome"), "allowed");
  EXPECT_EQ(text_at(server.last_audit(), "event"), "revoke");
}

TEST(AuthorityAbove, on_behalf_of_gives_access_tokens) {  // D-77
  TestServer server;
  const std::string t1 = m1_token(server);
  for (const char* type :
       {"urn:ietf:params:oauth:token-type:saml2", "urn:ietf:params:oauth:token-type:refresh_token", "x"}) {
    expect_refused(server, server.on_behalf_of("m1", t1, kR2 + "/r2.read", {{"requested_token_type", type}}),
                   400, "invalid_request", "requested_token_type_unsupported");
  }
  const Fields good = {{"requested_token_type", "urn:ietf:params:oauth:token-type:access_token"}};
  EXPECT_EQ(server.on_behalf_of("m1", t1, kR2 + "/r2.read", good).status, 200);
}

}  // namespace
}  // namespace behalf::test
