// Signing in: no enumeration, no fixation, no form from elsewhere, and cookies that stay here (RFC 9700 §4.7,
// RFC 6265).
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

Fields login_form(Browser& browser, const std::string& user, const std::string& password) {
  const Reply page = browser.get("/login");
  return {{"csrf", hidden_input(page.body, "/login", "csrf")},
          {"request", ""},
          {"username", user},
          {"password", password}};
}

TEST(Login, a_wrong_password_and_an_unknown_person_look_the_same) {  // 87
  TestServer server;
  Browser browser(server);
  const Reply wrong = browser.post("/login", login_form(browser, "u1", "not it"));
  expect_page(server, wrong, 401, "wrong_password");
  std::string unknown = browser.post("/login", login_form(browser, "zz", "not it")).body;
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "unknown_user");
  for (size_t at = unknown.find("\"zz\""); at != std::string::npos; at = unknown.find("\"zz\""))
    unknown.replace(at, 4, "\"u1\"");
  EXPECT_EQ(unknown, wrong.body);
  server.suspend("user", "u2");
  expect_page(server, browser.post("/login", login_form(browser, "u2", kPassword)), 401);
  EXPECT_EQ(server.whole_audit_text().find("not it"), std::string::npos);
  EXPECT_EQ(browser.post("/login", login_form(browser, "u1", kPassword)).status, 303);
}

TEST(Login, the_form_is_ours_and_the_session_is_new) {  // 43, 66, 71, 79
  TestServer server;
  Browser browser(server);
  const Fields form = login_form(browser, "u1", kPassword);
  expect_page(server, browser.post("/login", with(form, {{"csrf", "x"}})), 403, "csrf");
  http::Headers cross;
  cross.set("Sec-Fetch-Site", "cross-site");
  expect_page(server, browser.post("/login", form, cross), 403, "csrf");
  Browser other(server);
  expect_page(server, other.post("/login", form), 403, "csrf");
  other.get("/login");
  expect_page(server, other.post("/login", form), 403, "csrf");

  const Reply first = browser.post("/login", form);
  ASSERT_EQ(first.status, 303);
  const std::string cookie = first.header("Set-Cookie");
  for (const char* part :
       {"__Host-behalf_session=", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"}) {
    EXPECT_NE(cookie.find(part), std::string::npos) << part << " in " << cookie;
  }
  const auto old = browser.cookies;
  ASSERT_EQ(server.sign_in(browser, "u1").status, 303);
  EXPECT_NE(browser.cookies.at("__Host-behalf_session"), old.at("__Host-behalf_session"));
  Browser replayed(server);
  replayed.cookies = old;
  EXPECT_EQ(replayed.get("/agents").body.find("User One"), std::string::npos)
      << "the old session is still alive";
  EXPECT_NE(browser.get("/agents").body.find("User One"), std::string::npos);
  server.clock.advance(Seconds{3600});
  EXPECT_EQ(browser.get("/agents").body.find("User One"), std::string::npos)
      << "an idle session is still alive";
}

}  // namespace
}  // namespace behalf::test
