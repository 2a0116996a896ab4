// Pushed authorization requests (RFC 9126): what is pushed is what counts, for one client, one browser, once,
// and not for long.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

std::string open(const std::string& client, const std::string& uri, const Fields& more = {}) {
  return "/authorize?" + http::write_form(with({{"client_id", client}, {"request_uri", uri}}, more));
}

class Rfc9126 : public ::testing::Test {
 protected:
  std::string push(const Fields& overrides = {}) {
    pkce = make_pkce();
    const Reply reply =
        server.as("ca", "/par", with(server.authorization("ca", "a1", "r1.read", pkce), overrides));
    EXPECT_EQ(reply.status, 201) << reply.body;
    EXPECT_EQ(reply.header("Cache-Control"), "no-store");
    EXPECT_EQ(reply.json.find_integer("expires_in"), 90);
    return reply.text("request_uri");
  }
  // From the opened request to the code; the decision's page is ours.
  Reply finish(Browser& browser, const Reply& opened) {
    EXPECT_TRUE(opened.header("Location").starts_with("/login")) << opened.status << opened.body;
    const Reply signed_in = server.sign_in(browser, "u1", opened.location_parameter("request"));
    const Reply page = browser.get(signed_in.header("Location"));
    return browser.post("/consent", {{"csrf", hidden_input(page.body, "/consent", "csrf")},
                                     {"request", hidden_input(page.body, "/consent", "request")},
                                     {"decision", "allow"},
                                     {"scope", "r1.read"}});
  }
  TestServer server;
  Pkce pkce;
};

TEST_F(Rfc9126,
       S2_1_the_client_proves_itself_and_the_request_is_checked_at_once) {  // D-P02, D-P12, X03, 11, 13, 28
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  expect_refused(server, server.post("/par", good), 401, "invalid_client", "no_credentials");
  expect_refused(server, server.post("/par", good, server.basic("cb")), 401, "invalid_client",
                 "client_id_differs");
  http::Headers wrong;
  wrong.set("Authorization", "Basic Y2E6d3Jvbmc=");
  expect_refused(server, server.post("/par", good, wrong), 401, "invalid_client", "wrong_secret");
  expect_refused(
      server, server.as("ca", "/par", with(good, {{"request_uri", "urn:ietf:params:oauth:request_uri:x"}})),
      400, "invalid_request", "request_uri_pushed");
  const struct {
    const char* name;
    Fields overrides;
    const char* error;
    const char* reason;
  } cases[] = {{"unknown agent", {{"requested_actor", "nobody"}}, "invalid_request", "actor_unknown"},
               {"suspended agent", {{"requested_actor", "a3"}}, "invalid_request", "actor_suspended"},
               {"empty agent", {{"requested_actor", ""}}, "invalid_request", "requested_actor_malformed"},
               {"redirect",
                {{"redirect_uri", "https://evil.example/"}},
                "invalid_request",
                "redirect_uri_unregistered"},
               {"scope", {{"scope", "r1.fly"}}, "invalid_scope", "scope_unknown"},
               {"no scope", {{"scope", kLeaveOut}}, "invalid_scope", "scope_missing"},
               {"token", {{"response_type", "token"}}, "unsupported_response_type", "response_type"},
               {"bad actor token", {{"actor_token", "x"}}, "invalid_request", "actor_token_malformed"}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    expect_refused(server, server.as("ca", "/par", with(good, test.overrides)), 400, test.error, test.reason);
  }
  Fields twice = good;
  twice.emplace_back("scope", "r1.write");
  expect_refused(server, server.as("ca", "/par", twice), 400, "invalid_request", "repeated_parameter");
  EXPECT_EQ(server.get("/par").status, 405);
}

TEST_F(Rfc9126, S2_1_an_actor_token_may_come_along_and_must_be_the_agents) {  // D-P04, D-P05, D-P06, X09, X10
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  expect_refused(server, server.as("ca", "/par", with(good, {{"actor_token", server.assertion("a2")}})), 400,
                 "invalid_request", "actor_mismatch");
  const int64_t past = server.clock.now().seconds() - 100;
  expect_refused(
      server,
      server.as(
          "ca", "/par",
          with(good, {{"actor_token", server.assertion("a1", claims({{"exp", past}, {"iat", past - 60}}))}})),
      400, "invalid_request", "actor_token: expired");
  const std::string once = server.assertion("a1");
  EXPECT_EQ(server.as("ca", "/par", with(good, {{"actor_token", once}})).status, 201);
  expect_refused(server, server.as("ca", "/par", with(good, {{"actor_token", once}})), 400, "invalid_request",
                 "actor_token_replayed", {once});
  Browser browser(server);
  const Reply back = finish(browser, browser.get(open("ca", push({{"actor_token", server.assertion("a1")},
                                                                  {"actor_token_type", kJwtType}}))));
  const TestServer::Code code{.code = back.location_parameter("code"), .pkce = pkce};
  expect_refused(server, server.token("ca", server.redemption(code, "")), 400, "invalid_request",
                 "actor_token_missing");  // a fresh one still
}

TEST_F(Rfc9126, S4_only_what_was_pushed_counts) {  // D-P01, D-P10, 7, D-32
  Browser browser(server);
  const std::string uri = push();
  const Reply opened = browser.get(open("ca", uri,
                                        {{"scope", "r1.read r1.write"},
                                         {"redirect_uri", "https://evil.example/"},
                                         {"state", "evil"},
                                         {"resource", kR2},
                                         {"code_challenge", std::string(43, 'E')}}));
  const Reply back = finish(browser, opened);
  EXPECT_TRUE(back.header("Location").starts_with(kRedirect + "?"));
  EXPECT_EQ(back.location_parameter("state"), "state-of-the-client");
  const Reply token =
      server.token("ca", server.redemption({.code = back.location_parameter("code"), .pkce = pkce}, "a1"));
  ASSERT_EQ(token.status, 200) << token.body;
  EXPECT_EQ(token.text("scope"), "r1.read");
  EXPECT_EQ(text_at(claims_of(token.text("access_token")), "aud"), kR1);
  expect_page(server, browser.get(open("ca", uri)), 400, "request_uri_used");  // D-P08, 9
  const std::string other = push({{"prompt", "consent"}});
  expect_page(server, browser.get(open("ca", other, {{"requested_actor", "a2"}})), 400,
              "requested_actor_differs");
  EXPECT_TRUE(
      browser.get(open("ca", other, {{"requested_actor", "a1"}})).header("Location").starts_with("/consent"));
}

TEST_F(Rfc9126, S4_a_request_uri_is_bound_to_client_browser_and_time) {  // D-P08, D-P09, 8, 9, 10, 12, 19
  const std::string uri = push();
  Browser browser(server);
  for (const char* client : {"cb", "cp", "nobody", ""})
    expect_page(server, browser.get(open(client, uri)), 400, "request_uri_of_other_client");
  std::string guess = uri;
  guess.back() = guess.back() == 'A' ? 'B' : 'A';
  guess[guess.size() - 5] = guess[guess.size() - 5] == 'A' ? 'B' : 'A';
  expect_page(server, browser.get(open("ca", guess)), 400, "request_uri_unknown");
  expect_page(server, browser.get(open("ca", "https://evil.example/request")), 400, "request_uri_foreign");
  expect_page(server, browser.get(open("ca", "urn:ietf:params:oauth:request_uri:zzz")), 400,
              "request_uri_foreign");
  expect_page(server, browser.get(open("ca", uri) + "&request_uri=x"), 400, "repeated_parameter");
  const Reply first = browser.get(open("ca", uri));  // none of that harmed the owner
  EXPECT_EQ(first.status, 303);
  Browser thief(server);
  expect_page(server, thief.get(open("ca", uri)), 400, "request_of_other_browser");
  expect_page(server, thief.get(first.header("Location")), 400, "request_unusable");
  const Reply again = browser.get(open("ca", uri));  // reload before completion
  EXPECT_NE(finish(browser, again).location_parameter("code"), "");
  expect_page(server, browser.get(open("ca", uri)), 400, "request_uri_used");

  const std::string old = push();
  server.clock.advance(Seconds{90});
  expect_page(server, browser.get(open("ca", old)), 400, "request_uri_expired");
  const std::string slow = push({{"prompt", "login consent"}});
  server.clock.advance(Seconds{89});
  const Reply opened = browser.get(open("ca", slow));
  server.clock.advance(Seconds{120});  // the person may take longer than the link
  EXPECT_NE(finish(browser, opened).location_parameter("code"), "");
}

TEST_F(Rfc9126, S4_a_request_uri_that_was_answered_with_an_error_is_used_up) {  // D-P08, D-32
  Browser browser(server);
  browser.get("/login");  // from here on the browser is known
  const std::string uri = push({{"prompt", "none"}});
  expect_sent_back(server, browser.get(open("ca", uri)), "login_required", "no_session");
  expect_page(server, browser.get(open("ca", uri)), 400, "request_uri_used");
}

TEST_F(Rfc9126, S5_a_client_that_must_push_cannot_come_with_a_plain_request) {  // 14
  server.change("clients", "ca", "require_pushed_authorization_requests", true);
  expect_sent_back(server, ask(server, server.authorization("ca", "a1", "r1.read", make_pkce())),
                   "invalid_request", "par_required");
  Browser browser(server);
  EXPECT_NE(finish(browser, browser.get(open("ca", push()))).location_parameter("code"), "");
}

}  // namespace
}  // namespace behalf::test
