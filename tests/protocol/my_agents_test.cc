// "My agents": what each may do for me, and taking it back (decision D-30); nobody reaches another person's
// grants.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(MyAgents, shows_each_grant_and_takes_back_one_or_all_of_an_agent) {  // C-18, P-08, P-09
  TestServer server;
  Browser browser(server);
  const auto token = [&](const char* client, const char* agent) {
    return server
        .token(client, server.redemption(next_code(server, browser, client, agent, "r1.read"), agent))
        .text("access_token");
  };
  const std::string first = token("ca", "a1");
  const std::string other_client = token("cb", "a1");
  const std::string other_agent = token("ca", "a2");
  const Reply page = browser.get("/agents");
  for (const char* text : {"Agent a1", "Agent a2", "Client ca", "Client cb", "Title of r1.read"})
    EXPECT_NE(page.body.find(text), std::string::npos) << text;
  const std::string csrf = hidden_input(page.body, "/agents/revoke", "csrf");
  const std::string grant = text_at(claims_of(first), "grant_id");
  ASSERT_NE(csrf, "");

  expect_page(server, browser.post("/agents/revoke", {{"csrf", "x"}, {"delegation", grant}}), 403, "csrf");
  Browser thief(server);
  server.sign_in(thief, "u2");
  expect_page(server, thief.post("/agents/revoke", {{"csrf", csrf}, {"delegation", grant}}), 403, "csrf");
  EXPECT_TRUE(server.is_active("r1-server", first));
  EXPECT_EQ(thief.get("/agents").body.find("Agent a1"), std::string::npos);

  // With a page of her own, another person still ends nothing of his.
  Decision hers;
  hers.user = "u2";
  ASSERT_NE(next_code(server, thief, "ca", "a2", "r1.read", kR1, hers).code, "");
  const std::string own = hidden_input(thief.get("/agents").body, "/agents/revoke", "csrf");
  ASSERT_NE(own, "");
  thief.post("/agents/revoke", {{"csrf", own}, {"delegation", grant}});
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "grant_of_other_person");
  EXPECT_TRUE(server.is_active("r1-server", first));

  EXPECT_EQ(browser.post("/agents/revoke", {{"csrf", csrf}, {"delegation", grant}}).status, 303);
  EXPECT_FALSE(server.is_active("r1-server", first));
  EXPECT_TRUE(server.is_active("r1-server", other_client));
  EXPECT_EQ(browser.post("/agents/revoke-agent", {{"csrf", csrf}, {"agent", "a1"}}).status, 303);
  EXPECT_FALSE(server.is_active("r1-server", other_client));
  EXPECT_TRUE(server.is_active("r1-server", other_agent));
}

TEST(MyAgents, what_was_allowed_twice_is_shown_once_and_taken_back_whole) {
  TestServer server;
  Browser browser(server);
  const auto allow = [&](const std::string& scope) {
    server.clock.advance(Seconds{1});  // or which of two is newer would be left to chance
    const Pkce pkce = make_pkce();
    const Reply back = server.authorize(
        browser, with(server.authorization("ca", "a1", scope, pkce), {{"prompt", "consent"}}));
    return server
        .token("ca", server.redemption({.code = back.location_parameter("code"), .pkce = pkce}, "a1"))
        .text("access_token");
  };
  const std::vector<std::string> same = {allow("r1.read"), allow("r1.read")};
  const std::string wider = allow("r1.read r1.write");
  for (const std::string& token : same) ASSERT_TRUE(server.is_active("ca", token));
  const std::string page = browser.get("/agents").body;
  const auto cards = [](const std::string& html) {
    size_t count = 0;
    for (size_t at = 0; (at = html.find("name=\"delegation\"", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  EXPECT_EQ(cards(page), 2U);
  // The newer of the two stands there; the other goes with it.
  const std::string grant = text_at(claims_of(same[1]), "grant_id");
  ASSERT_NE(page.find("value=\"" + grant + "\""), std::string::npos);
  browser.post("/agents/revoke",
               {{"csrf", hidden_input(page, "/agents/revoke", "csrf")}, {"delegation", grant}});
  for (const std::string& token : same) EXPECT_FALSE(server.is_active("ca", token));
  EXPECT_TRUE(server.is_active("ca", wider));
}

}  // namespace
}  // namespace behalf::test
