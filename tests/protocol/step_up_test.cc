// Step-up (RFC 9470, D-43, D-83, K-10): a target may demand how the person signed in; only the client can get
// it, by bringing the person back with `claims` or `acr_values`; and a token never says more than what
// happened.
#include <gtest/gtest.h>

#include "oauth/issuance.h"
#include "support/expectations.h"

namespace behalf::test {
namespace {

const std::string kPasswordAcr = "urn:behalf:acr:password";
const std::string kWeak = "urn:example:weak";

// Signed in by some weaker way than a password.
void sign_in_weakly(TestServer& server, Browser& browser, const std::string& amr = "sms") {
  crypto::SystemRandom random;
  const oauth::Handle handle{NodeId(make_ordered_id(server.clock.now(), random)), make_secret_text(random)};
  Session session;
  session.id = SessionId(handle.id.text());
  session.secret_hash = server.services().keys.lookup_hash(handle.secret);
  session.user = UserId(std::string("u1"));
  session.sign_in = {.auth_time = server.clock.now(), .acr = kWeak, .amr = amr};
  session.created_at = session.last_seen_at = server.clock.now();
  session.expires_at = server.clock.now() + Seconds{3600};
  server.services().store.run([&](store::Transaction& transaction) { transaction.insert_session(session); });
  browser.cookies["__Host-behalf_session"] = oauth::write_handle("s_", handle);
}

std::string token_of(TestServer& server, Browser& browser, const Fields& more = {}) {
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  const Reply reply = server.authorize(
      browser, with(server.authorization("ca", "a1", "m1.use r2.read", code.pkce, kM1), more));
  code.code = reply.location_parameter("code");
  EXPECT_NE(code.code, "") << reply.status << reply.header("Location");
  return server.token("ca", server.redemption(code, "a1")).text("access_token");
}

std::string claims_for(const std::string& acr) {
  return R"({"access_token":{"acrs":{"essential":true,"value":")" + acr + R"("}}})";
}

TEST(StepUp, the_retry_with_claims_works_and_tells_the_truth) {  // K-10, G-15, 89
  TestServer server;
  server.change("resources", kR2, "required_acr", kPasswordAcr);
  Browser browser(server);
  sign_in_weakly(server, browser);
  const int64_t weak_time = server.clock.now().seconds();
  server.clock.advance(Seconds{30});
  const std::string weak = token_of(server, browser);
  EXPECT_EQ(text_at(claims_of(weak), "acr"), kWeak);
  EXPECT_EQ(claims_of(weak).find_integer("auth_time"), weak_time);
  EXPECT_EQ(*claims_of(weak).find("amr"), json_of(R"(["sms"])"));
  const Reply refused = server.on_behalf_of("m1", weak, kR2 + "/r2.read");
  expect_refused(server, refused, 400, "interaction_required", "step_up_required", {weak});
  EXPECT_EQ(refused.text("claims"), claims_for(kPasswordAcr));

  // The client brings the person back with exactly what it was given: a session is there, and is not enough.
  const Fields more{{"claims", refused.text("claims")}};
  const Reply none = browser.get(
      "/authorize?" +
      http::write_form(with(with(server.authorization("ca", "a1", "m1.use r2.read", make_pkce(), kM1), more),
                            {{"prompt", "none"}})));
  expect_sent_back(server, none, "login_required", "no_session");
  const Reply to = browser.get(
      "/authorize?" +
      http::write_form(with(server.authorization("ca", "a1", "m1.use r2.read", make_pkce(), kM1), more)));
  EXPECT_TRUE(to.header("Location").starts_with("/login")) << to.header("Location");
  const std::string strong = token_of(server, browser, more);
  EXPECT_EQ(text_at(claims_of(strong), "acr"), kPasswordAcr);
  EXPECT_EQ(claims_of(strong).find_integer("auth_time"), server.clock.now().seconds());
  EXPECT_EQ(*claims_of(strong).find("amr"), json_of(R"(["pwd"])"));
  const Reply retried = server.on_behalf_of("m1", strong, kR2 + "/r2.read");
  ASSERT_EQ(retried.status, 200) << retried.body;
  for (const char* name : {"acr", "auth_time", "amr"}) {
    EXPECT_EQ(*claims_of(retried.text("access_token")).find(name), *claims_of(strong).find(name)) << name;
  }
  expect_refused(server, server.on_behalf_of("m1", weak, kR2 + "/r2.read"), 400, "interaction_required",
                 "step_up_required");
}

TEST(StepUp, what_cannot_be_had_is_said) {  // 89, RFC 9470 §5
  TestServer server;
  const std::vector<Fields> rows = {
      {{"acr_values", "gold"}},
      {{"claims", claims_for("gold")}},
      {{"claims", R"({"id_token":{"acr":{"essential":true,"values":["gold","silver"]}}})"}},
      {{"acr_values", kPasswordAcr}, {"claims", claims_for("gold")}}};
  for (const Fields& more : rows) {
    SCOPED_TRACE(http::write_form(more));
    Browser browser(server);
    const Reply reply =
        server.authorize(browser, with(server.authorization("ca", "a1", "r1.read", make_pkce()), more));
    expect_sent_back(server, reply, "unmet_authentication_requirements", "acr_unmet");
  }
  for (const Fields& more : std::vector<Fields>{
           {{"acr_values", "gold " + kPasswordAcr}},
           {{"claims", R"({"access_token":{"acrs":{"value":"gold"},"xms_cc":{"values":["cp1"]}}})"}},
           {{"claims", R"({"access_token":{"acrs":{"essential":true}},"x":[1]})"}}}) {
    SCOPED_TRACE(http::write_form(more));
    Browser browser(server);
    const Reply reply =
        server.authorize(browser, with(server.authorization("ca", "a1", "r1.read", make_pkce()), more));
    EXPECT_NE(reply.location_parameter("code"), "") << reply.status << reply.header("Location");
  }
  for (const char* claims : {"x", "[]", "\"a\"", "{\"a\":"}) {
    expect_sent_back(
        server,
        ask(server, with(server.authorization("ca", "a1", "r1.read", make_pkce()), {{"claims", claims}})),
        "invalid_request", "claims_malformed");
  }
  for (const char* claims :
       {R"({"a":{"acr":{"essential":true,"values":[1]}}})", R"({"a":{"acr":{"essential":true,"value":""}}})",
        R"({"a":{"acr":{"essential":true,"value":"x"}},"b":{"acrs":{"essential":true,"value":"y"}}})"}) {
    expect_sent_back(
        server,
        ask(server, with(server.authorization("ca", "a1", "r1.read", make_pkce()), {{"claims", claims}})),
        "invalid_request", "claims_acr");
  }
  for (const std::string& values : {std::string("a\x01"), std::string("\xC3\xA9"), std::string(501, 'x')}) {
    expect_sent_back(
        server,
        ask(server, with(server.authorization("ca", "a1", "r1.read", make_pkce()), {{"acr_values", values}})),
        "invalid_request", "acr_values");
  }
  // By a push the same.
  EXPECT_EQ(server
                .as("ca", "/par",
                    with(server.authorization("ca", "a1", "r1.read", make_pkce()),
                         {{"claims", claims_for("gold")}}))
                .status,
            201);
}

TEST(StepUp, an_exchange_demands_it_too) {  // D-43 in RFC 8693
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  ASSERT_EQ(server.exchange("m1", t1, "a2", {{"resource", kR2}}).status, 200);
  server.change("resources", kR2, "required_acr", "gold");
  const Reply refused = server.exchange("m1", t1, "a2", {{"resource", kR2}});
  expect_refused(server, refused, 400, "insufficient_user_authentication", "step_up_required", {t1});
  EXPECT_EQ(refused.text("acr_values"), "gold");
  // Nobody signs in for an agent that acts alone.
  const std::string alone =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kM1}, {"scope", "r2.read"}})
          .text("access_token");
  ASSERT_NE(alone, "");
  EXPECT_EQ(server.exchange("m1", alone, "a2", {{"resource", kR2}}).status, 200);
  server.change("resources", kR2, "required_acr", kPasswordAcr);
  EXPECT_EQ(server.exchange("m1", t1, "a2", {{"resource", kR2}}).status, 200);
}

TEST(StepUp, a_scope_may_demand_more_than_its_resource) {
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "r1.read r1.write").text("access_token");
  server.change(
      "resources", kR1, "scopes",
      json_of(
          R"([{"name":"r1.read","title":"Read"},{"name":"r1.write","title":"Write","required_acr":"gold"},{"name":"r2.read","title":"R2"}])"));
  EXPECT_EQ(server.exchange("ca", t1, "", {{"scope", "r1.read"}}).status, 200);
  for (const std::string scope : {"r1.write", "r1.read r1.write", ""}) {
    const Fields asked = scope.empty() ? Fields{} : Fields{{"scope", scope}};
    const Reply refused = server.exchange("ca", t1, "", asked);
    expect_refused(server, refused, 400, "insufficient_user_authentication", "step_up_required");
    EXPECT_EQ(refused.text("acr_values"), "gold");
  }
  // The scope's demand stands in place of the resource's.
  server.change("resources", kR1, "required_acr", "silver");
  EXPECT_EQ(server.exchange("ca", t1, "", {{"scope", "r1.write"}}).text("acr_values"), "gold");
  EXPECT_EQ(server.exchange("ca", t1, "", {{"scope", "r1.read"}}).text("acr_values"), "silver");
}

TEST(StepUp, every_method_is_named) {  // RFC 8176
  TestServer server;
  Browser browser(server);
  sign_in_weakly(server, browser, "sms otp");
  EXPECT_EQ(*claims_of(token_of(server, browser)).find("amr"), json_of(R"(["sms","otp"])"));
}

}  // namespace
}  // namespace behalf::test
