// What one caller may cost the others (RFC 6585 §4): failures are limited before they cost a signature,
// nobody is locked out by a stranger, and the store stays bounded. S-10, S-05; 86, 87, 111, 160, 313, 314,
// 320.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/expectations.h"

namespace behalf::test {
namespace {

// Behind a proxy whose word counts, so that one test can come from several addresses.
http::Headers from(const std::string& address, http::Headers headers = {}) {
  headers.set("X-Forwarded-For", address);
  headers.set("X-Forwarded-Proto", "https");
  return headers;
}

class LimitsAtTheServer : public testing::Test {
 protected:
  LimitsAtTheServer() { server.trust_forwarded_addresses(); }
  void limit(const oauth::LimitSettings& limits) {
    server.configure([&](oauth::Settings& settings) { settings.limits = limits; });
  }
  void expect_limited(const Reply& reply, const std::string& reason) {
    EXPECT_EQ(reply.status, 429) << reply.body;
    EXPECT_EQ(reply.error(), "temporarily_unavailable");
    EXPECT_FALSE(reply.header("Retry-After").empty());
    EXPECT_EQ(reply.header("Cache-Control"), "no-store");
    EXPECT_EQ(reply.text("access_token"), "");
    EXPECT_EQ(text_at(server.last_audit(), "reason"), reason);
  }
  Fields bad_code() const {
    return {{"grant_type", "authorization_code"},
            {"code", "x"},
            {"redirect_uri", kRedirect},
            {"code_verifier", std::string(43, 'v')}};
  }
  TestServer server;
};

TEST_F(LimitsAtTheServer, S_10_failed_redemptions_are_limited_per_client_and_forgiven) {
  limit({.failures = 5, .failures_per_minute = 60});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(server.token("ca", bad_code()).error(), "invalid_grant");
  expect_limited(server.token("ca", bad_code()), "limit_failures");
  EXPECT_EQ(server.token("cb", bad_code()).error(), "invalid_grant") << "another client pays for it";
  server.clock.advance(Seconds{1});
  EXPECT_EQ(server.token("ca", bad_code()).error(), "invalid_grant");
  expect_limited(server.token("ca", bad_code()), "limit_failures");
  server.clock.advance(Seconds{60});
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200) << "the honest flow";
}

TEST_F(LimitsAtTheServer, a_stranger_cannot_lock_out_a_client) {  // 160
  server.configure(
      [](oauth::Settings& settings) { settings.limits = {.failures = 5, .failures_per_minute = 1}; });
  const Fields ask{{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}};
  http::Headers wrong;
  wrong.set("Authorization", "Basic " + base64("a1-runtime:wrong"));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(server.post("/token", ask, from("192.0.2.1", wrong)).error(), "invalid_client");
  expect_limited(server.post("/token", ask, from("192.0.2.1", wrong)), "limit_client_authentication");
  // Not even the right secret helps there; and it is not looked at, so that it cannot be guessed through the
  // limit.
  expect_limited(server.post("/token", ask, from("192.0.2.1", server.basic("a1-runtime"))),
                 "limit_client_authentication");
  EXPECT_EQ(server.post("/token", ask, from("192.0.2.2", server.basic("a1-runtime"))).status, 200);
  for (const char* path : {"/par", "/introspect", "/revoke"}) {
    EXPECT_EQ(server.post(path, {{"token", "x"}}, from("192.0.2.1", server.basic("a1-runtime"))).status, 429)
        << path;
  }
}

TEST_F(LimitsAtTheServer, bad_signatures_are_refused_before_they_cost_any) {  // 314
  limit({.failures = 5, .failures_per_minute = 1});
  Fields fields{{"grant_type", "client_credentials"},
                {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}};
  std::string forged = server.assertion("cg");
  forged[forged.size() - 5] = forged[forged.size() - 5] == 'A' ? 'B' : 'A';
  fields.emplace_back("client_assertion", forged);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(server.post("/token", fields, from("192.0.2.1")).error(), "invalid_client");
  expect_limited(server.post("/token", fields, from("192.0.2.1")), "limit_client_authentication");
  EXPECT_EQ(
      server.token("cg", {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
          .status,
      200);
}

TEST_F(LimitsAtTheServer, a_public_client_is_counted_by_address) {
  limit({.failures = 3, .failures_per_minute = 1});
  Fields fields = with(bad_code(), {{"client_id", "cp"}});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(server.post("/token", fields, from("192.0.2.1")).error(), "invalid_grant");
  expect_limited(server.post("/token", fields, from("192.0.2.1")), "limit_failures");
  EXPECT_EQ(server.post("/token", fields, from("192.0.2.2")).error(), "invalid_grant");
}

TEST_F(LimitsAtTheServer, sign_in_slows_down_per_account_and_address) {  // 87
  limit({.sign_in_failures = 3, .sign_in_failures_per_minute = 6});
  Browser browser(server);
  const auto attempt = [&](const std::string& user, const std::string& password, const std::string& address) {
    const Reply page = browser.get("/login");
    return browser.post("/login",
                        {{"csrf", hidden_input(page.body, "/login", "csrf")},
                         {"request", ""},
                         {"username", user},
                         {"password", password}},
                        from(address));
  };
  for (const std::string user : {"u1", "nobody"}) {
    SCOPED_TRACE(user);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(attempt(user, "wrong", "192.0.2.1").status, 401);
    const Reply limited = attempt(user, kPassword, "192.0.2.1");
    EXPECT_EQ(limited.status, 429);
    EXPECT_EQ(limited.header("Retry-After"), "10");
    EXPECT_NE(limited.body.find("Too many attempts"), std::string::npos);
    EXPECT_EQ(text_at(server.last_audit(), "reason"), "limit_sign_in");
  }
  EXPECT_EQ(attempt("u1", kPassword, "192.0.2.2").status, 303) << "the honest person elsewhere";
  server.clock.advance(Seconds{10});
  EXPECT_EQ(attempt("u1", kPassword, "192.0.2.1").status, 303);
  EXPECT_EQ(attempt("u1", kPassword, "192.0.2.1").status, 303) << "a right password costs nothing";
}

TEST_F(LimitsAtTheServer, asking_again_and_again_is_no_way_to_consent) {  // 86, 111
  limit({.prompts_per_hour = 3});
  Browser browser(server);
  const auto ask = [&](const std::string& agent, bool allow) {
    return server.authorize(browser, server.authorization("ca", agent, "r1.read", make_pkce()),
                            Decision{.user = "u1", .allow = allow, .scopes = {}});
  };
  for (int i = 0; i < 3; ++i) {
    const Reply denied = ask("a1", false);
    EXPECT_EQ(denied.location_parameter("error"), "access_denied");
    EXPECT_EQ(text_at(server.last_audit(), "reason"), "denied_by_person");
  }
  EXPECT_EQ(ask("a1", false).location_parameter("error"), "access_denied");
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "limit_prompts");
  EXPECT_NE(ask("a2", true).location_parameter("code"), "") << "another agent";
  server.clock.advance(Seconds{1200});
  EXPECT_NE(ask("a1", true).location_parameter("code"), "") << "what was allowed is not counted";
}

TEST_F(LimitsAtTheServer, S_05_waiting_requests_are_bounded_and_expire) {  // 320
  limit({.pushed_requests = 20, .open_requests = 10});
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(server.as("ca", "/par", good).status, 201);
  expect_limited(server.as("ca", "/par", good), "limit_pushed_requests");
  EXPECT_EQ(server.as("cb", "/par", server.authorization("cb", "a1", "r1.read", make_pkce())).status, 201);
  server.clock.advance(Seconds{90});
  EXPECT_EQ(server.as("ca", "/par", good).status, 201);

  std::string query;
  for (const auto& [name, value] : good)
    query += (query.empty() ? "?" : "&") + name + "=" + http::percent_encode(value);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(server.get("/authorize" + query, from("192.0.2.1")).status, 303);
  const Reply limited = server.get("/authorize" + query, from("192.0.2.1"));
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "limit_open_requests");
  EXPECT_EQ(server.get("/authorize" + query, from("192.0.2.2")).status, 303);
}

TEST_F(LimitsAtTheServer, the_oldest_session_makes_room) {  // 320
  limit({.sessions_per_user = 2});
  Browser first(server), second(server), third(server), other(server);
  server.sign_in(first, "u1");
  server.sign_in(other, "u2");
  server.clock.advance(Seconds{1});
  server.sign_in(second, "u1");
  server.clock.advance(Seconds{1});
  server.sign_in(third, "u1");
  EXPECT_EQ(first.get("/agents").body.find("User One"), std::string::npos);
  EXPECT_NE(second.get("/agents").body.find("User One"), std::string::npos);
  EXPECT_NE(third.get("/agents").body.find("User One"), std::string::npos);
  EXPECT_NE(other.get("/agents").body.find("User Two"), std::string::npos);
}

}  // namespace
}  // namespace behalf::test
