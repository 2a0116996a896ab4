// Redirect URIs (RFC 6749 §3.1.2.3, RFC 8252 §7, RFC 9700 §4.1): exact text, but for the port of a loopback
// address.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(Rfc8252, S7_3_only_the_port_of_a_loopback_address_may_differ) {  // B-17, 32, 34, 38, 39
  TestServer server;
  const Fields ca = server.authorization("ca", "a1", "r1.read", make_pkce());
  const std::string wrong[] = {"https://app.example/cb/",
                               "https://app.example/cb/../evil",
                               "https://app.example/cb%2f..%2f",
                               "https://app.example/cb;x",
                               "https://app.example/cb//",
                               "https://app.example/cb?x=1",
                               "https://app.example/cb?",
                               "https://app.example/cb#f",
                               "https://app.example/cb#",
                               "https://app.example/cb\\",
                               "https://app.example/cb%5c",
                               "https://app.example@evil.example/cb",
                               "https://app.example:443/cb",
                               "https://app.example:8443/cb",
                               "https://APP.example/cb",
                               "https://app.example./cb",
                               "HTTPS://app.example/cb",
                               "https:/app.example/cb",
                               "https://app.example/c\tb",
                               "https://app.example/cb\n",
                               " https://app.example/cb",
                               "https://\xD0\xB0pp.example/cb",
                               "https://app.example.evil.example/cb",
                               "http://app.example/cb",
                               "//app.example/cb",
                               "/cb",
                               "javascript:alert(1)",
                               "https://app.example/other",
                               "https://app.example/other?fixed=2",
                               "https://app.example/other?fixed=1&x=1",
                               "https://app.example/other?x=1&fixed=1",
                               "https://app.example/other?fixed=1&fixed=1",
                               "http://127.0.0.1:4711/other",
                               "http://localhost/loop",
                               "http://[::1]/loop",
                               "http://127.0.0.1.evil.example/loop",
                               "http://127.1/loop",
                               "http://0x7f.1/loop",
                               "http://[::ffff:127.0.0.1]/loop",
                               "http://0.0.0.0/loop",
                               "http://127.0.0.1:4711/loop#f",
                               "http://127.0.0.1:4711/loop?x=1",
                               "http://u@127.0.0.1:4711/loop",
                               "http://127.0.0.1:/loop",
                               "http://127.0.0.1:99999/loop",
                               "http://127.0.0.1:4711@evil.example/loop",
                               "https://127.0.0.1:4711/loop",
                               "com.example.app:/cb"};
  for (const std::string& uri : wrong) {
    SCOPED_TRACE(uri);
    expect_page(server, ask(server, with(ca, {{"redirect_uri", uri}})), 400, "redirect_uri_unregistered");
    expect_refused(server, server.as("ca", "/par", with(ca, {{"redirect_uri", uri}})), 400, "invalid_request",
                   "redirect_uri_unregistered");
  }
  for (const char* uri : {"http://127.0.0.1/loop", "http://127.0.0.1:1/loop", "http://127.0.0.1:65535/loop",
                          "https://app.example/other?fixed=1"}) {
    EXPECT_EQ(ask(server, with(ca, {{"redirect_uri", uri}})).status, 303) << uri;
    EXPECT_EQ(server.as("ca", "/par", with(ca, {{"redirect_uri", uri}})).status, 201) << uri;
  }
}

TEST(Rfc8252, S7_1_a_private_scheme_and_a_fixed_query_take_the_code) {  // 34, 37
  TestServer server;
  Browser browser(server);
  const Fields cp = with(server.authorization("cp", "a1", "r1.read", make_pkce()),
                         {{"redirect_uri", "com.example.app:/cb"}});
  EXPECT_TRUE(server.authorize(browser, cp).header("Location").starts_with("com.example.app:/cb?code="));
  expect_page(server, ask(server, with(cp, {{"redirect_uri", "com.example.app:/cb/"}})), 400,
              "redirect_uri_unregistered");
  expect_page(server, ask(server, with(cp, {{"redirect_uri", "com.example.app://cb"}})), 400,
              "redirect_uri_unregistered");
  const Fields ca = with(server.authorization("ca", "a1", "r1.read", make_pkce()),
                         {{"redirect_uri", "https://app.example/other?fixed=1"}});
  const Reply answer = server.authorize(browser, ca);
  EXPECT_TRUE(answer.header("Location").starts_with("https://app.example/other?fixed=1&code="))
      << answer.header("Location");
  EXPECT_NE(answer.location_parameter("code"), "");
}

TEST(Rfc8252, S8_what_cannot_be_a_redirect_uri_is_not_registered) {  // 36, 37, 40
  TestServer server;
  for (const char* uri :
       {"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
        "blob:https://x", "about:blank", "http://app.example/cb", " https://app.example/cb",
        "https://app.example/cb#", "https://app.example/cb#f", "https://u@app.example/cb", "myapp:/cb",
        "https:/cb", "\x01https://app.example/cb", "http://127.0.0.1.evil.example/cb", ""}) {
    json::Value client = claims({{"id", "cz"},
                                 {"name", "Client cz"},
                                 {"grant_types", json::Value::Array{"authorization_code"}},
                                 {"redirect_uris", json::Value::Array{uri}}});
    const Reply reply = server.admin("POST", "/apply", claims({{"clients", json::Value::Array{client}}}));
    EXPECT_EQ(reply.status, 422) << uri << " " << reply.body;
  }
}

TEST(Rfc8252, S7_3_the_code_is_redeemed_with_the_address_that_was_used) {  // E-11, 33, D-21
  TestServer server;
  Browser browser(server);
  const std::pair<std::string, const char*> cases[] = {
      {"https://app.example/cb/", "redirect_uri_differs"},
      {"https://app.example/other?fixed=1", "redirect_uri_differs"},
      {"https://APP.example/cb", "redirect_uri_differs"},
      {"http://127.0.0.1:4711/loop", "redirect_uri_differs"}};
  for (const auto& [uri, reason] : cases) {
    const auto code = next_code(server, browser, "ca", "a1", "r1.read");
    expect_refused(server, server.token("ca", with(server.redemption(code, "a1"), {{"redirect_uri", uri}})),
                   400, "invalid_grant", reason);
  }
  for (const std::string& nothing : {kLeaveOut, std::string{}}) {
    const auto code = next_code(server, browser, "ca", "a1", "r1.read");
    expect_refused(server,
                   server.token("ca", with(server.redemption(code, "a1"), {{"redirect_uri", nothing}})), 400,
                   "invalid_request", "redirect_uri_missing");
  }
  const auto of_public = next_code(server, browser, "cp", "a1", "r1.read");
  expect_refused(server,
                 server.token("cp", with(server.redemption(of_public, "a1"),
                                         {{"redirect_uri", "http://127.0.0.1:4712/loop"}})),
                 400, "invalid_grant", "redirect_uri_differs");
  EXPECT_EQ(server.flow("cp", "a1", "r1.read").status, 200);
}

TEST(Rfc8252, S8_6_a_public_client_on_the_persons_machine_is_asked_for_each_time) {  // 84
  TestServer server;
  Browser browser(server);
  const auto ask = [&](const std::string& client) {
    return browser.get("/authorize?" +
                       http::write_form(server.authorization(client, "a1", "r1.read", make_pkce())));
  };
  for (const std::string client : {"ca", "cp"}) {
    EXPECT_NE(server.authorize(browser, server.authorization(client, "a1", "r1.read", make_pkce()))
                  .location_parameter("code"),
              "");
  }
  EXPECT_NE(ask("ca").location_parameter("code"), "") << "a confidential client, remembered";
  EXPECT_TRUE(ask("cp").header("Location").starts_with("/consent"));
  const Fields silent = with(server.authorization("cp", "a1", "r1.read", make_pkce()), {{"prompt", "none"}});
  EXPECT_EQ(browser.get("/authorize?" + http::write_form(silent)).location_parameter("error"),
            "consent_required");
}

}  // namespace
}  // namespace behalf::test
