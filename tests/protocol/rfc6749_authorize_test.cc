// The authorization endpoint (RFC 6749 §4.1.1, OIDC Core §3.1.2.1, draft-oauth-ai-agents-on-behalf-of-user-02
// §5.1): the order of its checks, what is never redirected, and that an agent which cannot be used looks like
// one that does not exist.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

struct Case {
  const char* name;
  Fields overrides;
  const char* error;
  const char* reason;
  Fields more = {};  // appended: sent a second time
};

TEST(Rfc6749, S4_1_1_no_page_is_shown_for_a_wrong_request_and_the_client_hears_why) {  // B-07 to B-24, 1, 3,
                                                                                       // 4, 5, 23, 29
  TestServer server;
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  const Case cases[] = {
      {"no response_type", {{"response_type", kLeaveOut}}, "invalid_request", "response_type_missing"},
      {"empty response_type", {{"response_type", ""}}, "invalid_request", "response_type_missing"},
      {"token", {{"response_type", "token"}}, "unsupported_response_type", "response_type"},
      {"hybrid", {{"response_type", "code id_token"}}, "unsupported_response_type", "response_type"},
      {"id_token token", {{"response_type", "id_token token"}}, "unsupported_response_type", "response_type"},
      {"none", {{"response_type", "none"}}, "unsupported_response_type", "response_type"},
      {"code twice", {{"response_type", "code code"}}, "unsupported_response_type", "response_type"},
      {"upper case", {{"response_type", "CODE"}}, "unsupported_response_type", "response_type"},
      {"fragment", {{"response_mode", "fragment"}}, "invalid_request", "response_mode"},
      {"query.jwt", {{"response_mode", "query.jwt"}}, "invalid_request", "response_mode"},
      {"web_message", {{"response_mode", "web_message"}}, "invalid_request", "response_mode"},
      {"scope twice", {}, "invalid_request", "repeated_parameter", {{"scope", "r1.write"}}},
      {"response_type twice", {}, "invalid_request", "repeated_parameter", {{"response_type", "code"}}},
      {"requested_actor twice", {}, "invalid_request", "repeated_parameter", {{"requested_actor", "a2"}}},
      {"an unknown one twice", {{"foo", "1"}}, "invalid_request", "repeated_parameter", {{"foo", "1"}}},
      {"actor_token", {{"actor_token", "eyJ"}}, "invalid_request", "credential_exposure_actor_token"},
      {"actor_token_type",
       {{"actor_token_type", kJwtType}},
       "invalid_request",
       "credential_exposure_actor_token"},
      {"request object", {{"request", "eyJ"}}, "request_not_supported", "request_object"},
      {"actor empty", {{"requested_actor", ""}}, "invalid_request", "requested_actor_malformed"},
      {"actor of 256",
       {{"requested_actor", std::string(256, 'a')}},
       "invalid_request",
       "requested_actor_malformed"},
      {"actor with a space", {{"requested_actor", "a1 "}}, "invalid_request", "requested_actor_malformed"},
      {"actor with a control", {{"requested_actor", "a1\n"}}, "invalid_request", "requested_actor_malformed"},
      {"actor fullwidth",
       {{"requested_actor",
         "\xEF\xBD\x81"
         "1"}},
       "invalid_request",
       "requested_actor_malformed"},
      {"no scope", {{"scope", kLeaveOut}}, "invalid_scope", "scope_missing"},
      {"empty scope", {{"scope", ""}}, "invalid_scope", "scope_missing"},
      {"scope malformed", {{"scope", "r1.read \"x\""}}, "invalid_scope", "scope_malformed"},
      {"scope unknown", {{"scope", "r1.read r1.fly"}}, "invalid_scope", "scope_unknown"},
      {"only offline", {{"scope", "offline_access"}}, "invalid_scope", "scope_empty"},
      {"above the agent",
       {{"requested_actor", "a2"}, {"scope", "r1.write"}},
       "invalid_scope",
       "scope_above_agent"},
      {"prompt unknown", {{"prompt", "please"}}, "invalid_request", "prompt_unknown"},
      {"prompt none login", {{"prompt", "none login"}}, "invalid_request", "prompt_none_with_others"},
      {"max_age", {{"max_age", "-1"}}, "invalid_request", "max_age"},
      {"max_age fraction", {{"max_age", "1.5"}}, "invalid_request", "max_age"},
      {"max_age overflow", {{"max_age", "99999999999999999999"}}, "invalid_request", "max_age"},
      {"no session", {{"prompt", "none"}}, "login_required", "no_session"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    Fields fields = with(good, test.overrides);
    fields.insert(fields.end(), test.more.begin(), test.more.end());
    expect_sent_back(server, ask(server, fields), test.error, test.reason);
  }
  EXPECT_EQ(server.whole_audit_text().find("eyJ"), std::string::npos);  // B-23: the exposure, not the value
  Fields twice = good;
  twice.emplace_back("state", "other");
  expect_sent_back(server, ask(server, twice), "invalid_request", "repeated_parameter",
                   {.redirect_uri = kRedirect, .state = ""});
  server.change("clients", "cb", "scopes", json::Value::Array{"r1.read"});  // B-21
  expect_sent_back(server, ask(server, with(good, {{"client_id", "cb"}, {"scope", "r1.write"}})),
                   "invalid_scope", "scope_above_client");
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200);
}

TEST(Rfc6749,
     S4_1_2_1_without_a_known_client_and_redirect_uri_nothing_is_redirected) {  // B-17, B-19, 1, 5, 31
  TestServer server;
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  const Case cases[] = {
      {"no client", {{"client_id", kLeaveOut}}, "", "client_id_missing"},
      {"empty client", {{"client_id", ""}}, "", "client_id_missing"},
      {"unknown client", {{"client_id", "nobody"}}, "", "client_unknown"},
      {"a user is no client", {{"client_id", "u1"}}, "", "client_unknown"},
      {"a client without this flow", {{"client_id", "m1"}}, "", "grant_type_not_registered"},
      {"no redirect", {{"redirect_uri", kLeaveOut}}, "", "redirect_uri_missing"},
      {"another redirect", {{"redirect_uri", "https://evil.example/cb"}}, "", "redirect_uri_unregistered"},
      {"client twice", {}, "", "repeated_parameter", {{"client_id", "ca"}}},
      {"redirect twice", {}, "", "repeated_parameter", {{"redirect_uri", "https://evil.example/cb"}}},
      {"redirect before scope",
       {{"redirect_uri", "https://evil.example/cb"}, {"scope", "bad"}},
       "",
       "redirect_uri_unregistered"},
      {"client before redirect",
       {{"client_id", "nobody"}, {"redirect_uri", "https://evil.example/cb"}},
       "",
       "client_unknown"},
      {"silent too",
       {{"redirect_uri", "https://evil.example/cb"}, {"prompt", "none"}},
       "",
       "redirect_uri_unregistered"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    Fields fields = with(good, test.overrides);
    fields.insert(fields.end(), test.more.begin(), test.more.end());
    expect_page(server, ask(server, fields), 400, test.reason);
    Browser browser(server);
    expect_page(server, browser.post("/authorize", fields), 400, test.reason);
  }
  Browser browser(server);  // case 2: one source only
  expect_page(server, browser.post("/authorize?scope=r1.write", good), 400, "query_parameters");
  expect_page(server, browser.get("/authorize?client_id=%ZZ"), 400, "malformed_query");
  server.suspend("client", "ca");
  expect_page(server, ask(server, good), 400, "client_unknown");
  server.resume("client", "ca");
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200);
}

// B-03, B-04, B-08, B-09, 94, 95, D-24.
TEST(Draft02, S5_1_an_agent_that_cannot_be_used_looks_like_one_that_does_not_exist) {
  TestServer server;
  const Fields good = server.authorization("ca", "nobody-knows", "r1.read", make_pkce());
  const Reply unknown = ask(server, good);
  expect_sent_back(server, unknown, "invalid_request", "actor_unknown");
  const std::pair<const char*, const char*> others[] = {
      {"a3", "actor_suspended"},  {"a-elsewhere", "actor_not_for_this_client"},
      {"A1", "actor_unknown"},    {"a1%20", "actor_unknown"},
      {"u1", "actor_unknown"},    {"cb", "actor_unknown"},
      {"child.", "actor_unknown"}};
  for (const auto& [agent, reason] : others) {
    SCOPED_TRACE(agent);
    const Reply reply = ask(server, with(good, {{"requested_actor", agent}}));
    expect_sent_back(server, reply, "invalid_request", reason);
    EXPECT_EQ(reply.header("Location"), unknown.header("Location"));
    EXPECT_EQ(reply.body, unknown.body);
    EXPECT_EQ(reply.headers.list().size(), unknown.headers.list().size());
  }
}

TEST(Draft02, S5_1_without_an_agent_the_token_has_no_act) {  // B-27, B-33
  TestServer server;
  const Reply plain = server.flow("ca", "", "r1.read");
  ASSERT_EQ(plain.status, 200) << plain.body;
  EXPECT_EQ(claims_of(plain.text("access_token")).find("act"), nullptr);
  Browser browser(server);
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  Fields old = server.authorization("ca", "", "r1.read", code.pkce);
  old.emplace_back("requested_agent", "a1");  // the -00 name is no name here
  old.emplace_back("x[]", "1");               // case 6
  code.code = server.authorize(browser, old).location_parameter("code");
  const Reply reply = server.token("ca", server.redemption(code, ""));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(chain_of(reply.text("access_token")).empty());
  server.change("clients", "ca", "require_requested_actor", true);  // D-01
  expect_sent_back(server, ask(server, old), "invalid_request", "requested_actor_missing");
}

TEST(Rfc6749, S4_1_2_the_answer_has_code_and_the_same_state_and_a_form_post_is_escaped) {  // B-01, B-28,
                                                                                           // B-35, 26, 27, 46
  TestServer server;
  Browser browser(server);
  Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  const Reply first = server.authorize(browser, good);
  EXPECT_EQ(first.status, 303);
  EXPECT_NE(first.location_parameter("code"), "");
  EXPECT_EQ(first.location_parameter("state"), "state-of-the-client");
  EXPECT_EQ(first.location_parameter("iss"), kIssuer);
  const Reply posted = browser.post("/authorize", good);
  EXPECT_EQ(posted.status, 303);
  EXPECT_NE(posted.location_parameter("code"), "");
  const Reply stateless = browser.get("/authorize?" + http::write_form(with(good, {{"state", kLeaveOut}})));
  EXPECT_NE(stateless.location_parameter("code"), "");
  EXPECT_EQ(stateless.header("Location").find("state"), std::string::npos);
  for (const std::string& state : {std::string(4000, 's'), std::string("\"><script>alert(1)</script>"),
                                   std::string("a\r\nSet-Cookie: x=1"), std::string("\xE2\x80\xAE&=+ %41")}) {
    const Reply odd = browser.get("/authorize?" + http::write_form(with(good, {{"state", state}})));
    EXPECT_NE(odd.location_parameter("code"), "") << odd.status;
    EXPECT_EQ(odd.location_parameter("state"), state);
    EXPECT_EQ(odd.header("Location").find('\n'), std::string::npos);
  }
  const Fields form = with(good, {{"response_mode", "form_post"}, {"state", "\"><script>alert(1)</script>"}});
  const Reply page = browser.get("/authorize?" + http::write_form(form));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("Location"), "");
  EXPECT_EQ(page.body.find("<script>alert"), std::string::npos);
  EXPECT_NE(hidden_input(page.body, kRedirect, "code"), "");
  EXPECT_EQ(hidden_input(page.body, kRedirect, "iss"), kIssuer);
  const std::string policy = page.header("Content-Security-Policy");
  EXPECT_NE(policy.find("form-action 'self' https://app.example"), std::string::npos) << policy;
  EXPECT_EQ(policy.find("unsafe-inline"), std::string::npos);
  const Reply refused = browser.get("/authorize?" + http::write_form(with(form, {{"scope", "no.such"}})));
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(hidden_input(refused.body, kRedirect, "error"), "invalid_scope");
  EXPECT_EQ(hidden_input(refused.body, kRedirect, "code"), "");
}

TEST(Rfc6749, S3_1_form_post_to_a_private_scheme_that_looks_like_http_is_no_form_post) {
  TestServer server;
  const std::string odd = "https.example.app:/cb";
  server.change("clients", "ca", "redirect_uris", json::Value::Array{odd});
  const Fields fields = with(server.authorization("ca", "a1", "r1.read", make_pkce()),
                             {{"redirect_uri", odd}, {"response_mode", "form_post"}});
  expect_sent_back(server, ask(server, fields), "invalid_request", "response_mode",
                   {.redirect_uri = odd, .state = "state-of-the-client"});
}

TEST(OidcCore, S3_1_2_1_prompt_and_max_age_are_honoured) {  // B-25, B-31, 23, 24, D-18
  TestServer server;
  Browser browser(server);
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  const auto go = [&](const Fields& overrides) {
    return browser.get("/authorize?" + http::write_form(with(good, overrides)));
  };
  server.sign_in(browser, "u1");
  expect_sent_back(server, go({{"prompt", "none"}}), "consent_required", "no_covering_consent");
  ASSERT_NE(server.authorize(browser, good).location_parameter("code"), "");
  EXPECT_NE(go({{"prompt", "none"}}).location_parameter("code"), "");
  EXPECT_TRUE(go({{"prompt", "consent"}}).header("Location").starts_with("/consent"));
  server.clock.advance(Seconds{5});
  expect_sent_back(server, go({{"prompt", "none"}, {"max_age", "4"}}), "login_required", "no_session");
  EXPECT_NE(go({{"max_age", "6"}}).location_parameter("code"), "");
  for (const Fields& again :
       {Fields{{"max_age", "0"}}, Fields{{"prompt", "login"}}, Fields{{"prompt", "select_account"}}}) {
    const Reply asked = go(again);
    ASSERT_TRUE(asked.header("Location").starts_with("/login")) << asked.header("Location");
    const std::string id = asked.location_parameter("request");
    EXPECT_TRUE(
        browser.get("/consent?request=" + id).header("Location").starts_with("/login"));  // no way around it
    const Reply signed_in = server.sign_in(browser, "u1", id);
    ASSERT_TRUE(signed_in.header("Location").starts_with("/consent"));
    EXPECT_NE(browser.get(signed_in.header("Location")).location_parameter("code"), "");
    server.clock.advance(Seconds{5});
  }
}

}  // namespace
}  // namespace behalf::test
