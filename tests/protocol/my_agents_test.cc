// "My agents": what each may do for me, and taking it back (decision D-30); nobody reaches another person's
// grants.
#include <gtest/gtest.h>

#include "base/ordered_id.h"
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
  for (const std::string& token : same) ASSERT_TRUE(server.is_active("r1-server", token));
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
  for (const std::string& token : same) EXPECT_FALSE(server.is_active("r1-server", token));
  EXPECT_TRUE(server.is_active("r1-server", wider));
}

// A consent as the store keeps it, given now.
GrantId put_grant(TestServer& server, const std::string& agent, Seconds lives = Seconds{30 * 86400}) {
  Grant grant;
  grant.id = GrantId(make_ordered_id(server.clock.now(), server.services().random));
  grant.user = UserId(std::string("u1"));
  grant.client = ClientId(std::string("ca"));
  grant.agent = AgentId(agent);
  grant.scopes = {"r1.read"};
  grant.resources = {ResourceId(kR1)};
  grant.created_at = server.clock.now();
  grant.expires_at = server.clock.now() + lives;
  server.services().store.run([&](store::Transaction& transaction) { transaction.insert_grant(grant); });
  server.clock.advance(Seconds{1});
  return grant.id;
}

TEST(MyAgents, whatever_lives_is_shown_and_what_is_left_out_is_said) {
  TestServer server;
  const GrantId first = put_grant(server, "a2");
  for (int i = 0; i < 202; ++i) put_grant(server, "a1");
  Browser browser(server);
  server.sign_in(browser, "u1");
  std::string page = browser.get("/agents").body;
  EXPECT_NE(page.find("Agent a2"), std::string::npos);
  EXPECT_NE(page.find("value=\"" + first.text() + "\""), std::string::npos);
  EXPECT_EQ(page.find("left out"), std::string::npos);

  // More have ended than are shown: that is said, and what lives still stands there.
  for (int i = 0; i < 201; ++i) put_grant(server, "a5", Seconds{1});
  server.clock.advance(Seconds{60});
  page = browser.get("/agents").body;
  EXPECT_NE(page.find("value=\"" + first.text() + "\""), std::string::npos);
  EXPECT_NE(page.find("Ended permissions (200 shown)"), std::string::npos);
  EXPECT_NE(page.find("only the 200 given last are shown; older ones are left out"), std::string::npos);
  EXPECT_NE(page.find("Its time was over"), std::string::npos);

  const Reply live = server.admin("GET", "/grants?user=u1&live=1&limit=1000");
  ASSERT_NE(live.json.find("grants"), nullptr) << live.body;
  EXPECT_EQ(live.json.find("grants")->array()->size(), 203U) << "what expired does not live";
  EXPECT_EQ(server.admin("GET", "/grants?user=u1&limit=1000").json.find("grants")->array()->size(), 404U);
}

TEST(MyAgents, what_was_taken_back_is_told_as_the_ledger_has_it) {
  TestServer server;
  Browser browser(server);
  const auto grant_of = [&](const char* scope, const std::string& resource) {
    const std::string token =
        server.token("ca", server.redemption(next_code(server, browser, "ca", "a1", scope, resource), "a1"))
            .text("access_token");
    return text_at(claims_of(token), "grant_id");
  };
  const std::string one = grant_of("r1.read", kR1);
  const std::string two = grant_of("r2.read", kR2);
  const auto has = [](const std::string& page, const char* text) {
    return page.find(text) != std::string::npos;
  };
  // A link that names a living permission, or none, says nothing.
  for (const char* link : {"/agents?done=revoked", "/agents?ended=x", "/agents?ended="})
    EXPECT_FALSE(has(browser.get(link).body, "role=\"status\"")) << link;
  const std::string page = browser.get("/agents?ended=" + one).body;
  EXPECT_FALSE(has(page, "role=\"status\""));

  const std::string csrf = hidden_input(page, "/agents/revoke", "csrf");
  const Reply done = browser.post("/agents/revoke", {{"csrf", csrf}, {"delegation", one}});
  EXPECT_EQ(done.header("Location"), "/agents?ended=" + one);
  std::string told = browser.get(done.header("Location")).body;
  EXPECT_TRUE(has(told, "<bdi>Agent a1</bdi></strong> lost its permission at <bdi>Resource R1</bdi>"));
  EXPECT_TRUE(has(told, "It still holds another permission</strong> at <bdi>Resource R2</bdi>"));
  EXPECT_FALSE(has(told, "no other permission"));

  Browser other(server);
  server.sign_in(other, "u2");
  EXPECT_FALSE(has(other.get(done.header("Location")).body, "role=\"status\"")) << "it is not hers";

  server.clock.advance(Seconds{1});  // or both went with one press
  const Reply all = browser.post("/agents/revoke-agent", {{"csrf", csrf}, {"agent", "a1"}});
  EXPECT_EQ(all.header("Location"), "/agents?ended=" + two);
  told = browser.get(all.header("Location")).body;
  EXPECT_TRUE(has(told, "lost its permission at <bdi>Resource R2</bdi>"));
  EXPECT_TRUE(has(told, "It holds no other permission from you."));
  // Nothing was left to take back, and nothing is said.
  EXPECT_EQ(browser.post("/agents/revoke-agent", {{"csrf", csrf}, {"agent", "a1"}}).header("Location"),
            "/agents");
  server.clock.advance(Seconds{180});
  EXPECT_FALSE(has(browser.get(all.header("Location")).body, "role=\"status\"")) << "that was not just now";
}

TEST(MyAgents, a_form_that_is_not_taken_says_that_nothing_was_revoked) {
  TestServer server;
  Browser browser(server);
  ASSERT_NE(next_code(server, browser, "ca", "a1", "r1.read").code, "");
  const std::string page = browser.get("/agents").body;
  const std::string grant = hidden_input(page, "/agents/revoke", "delegation");
  const std::string csrf = hidden_input(page, "/agents/revoke", "csrf");
  const auto expect_words = [&](const char* form, const Fields& fields, const http::Headers& headers,
                                const char* words, const char* link) {
    const Reply reply = browser.post(form, fields, headers);
    expect_page(server, reply, 403, "csrf");
    EXPECT_NE(reply.body.find(words), std::string::npos) << reply.body;
    EXPECT_NE(reply.body.find("<a class=\"button\" href=\"/agents\">" + std::string(link) + "</a>"),
              std::string::npos)
        << reply.body;
    EXPECT_EQ(reply.body.find("Nothing was allowed"), std::string::npos);
    EXPECT_EQ(reply.body.find("the app you came from"), std::string::npos);
  };
  const Fields old{{"csrf", "x"}, {"delegation", grant}, {"agent", "a1"}};
  http::Headers foreign;
  foreign.set("Origin", "https://evil.example");
  for (const char* form : {"/agents/revoke", "/agents/revoke-agent"}) {
    expect_words(form, old, {}, "Nothing was revoked yet.", "My agents");
    expect_words(form, with(old, {{"csrf", csrf}}), foreign, "Nothing was revoked.", "My agents");
  }
  expect_words("/sign-out", old, {}, "You are still signed in.", "My agents");
  browser.post("/sign-out", {{"csrf", csrf}});
  for (const char* form : {"/agents/revoke", "/agents/revoke-agent"}) {
    expect_words(form, with(old, {{"csrf", csrf}}), {}, "You were signed out; nothing was revoked yet.",
                 "Sign in");
  }
  expect_words("/sign-out", with(old, {{"csrf", csrf}}), {}, "Your session had ended already.", "Sign in");
  server.services().store.run_read([&](store::ReadTransaction& transaction) {
    EXPECT_FALSE(transaction.find_grant(GrantId(grant))->ended_at);
  });
}

TEST(MyAgents, the_terms_that_were_agreed_to_stand_there) {
  TestServer server;
  server.change("agents", "a1", "intents", json_of(R"([{"name":"intent:meet","text":"Arrange meetings."}])"));
  Browser browser(server);
  const Reply back =
      server.authorize(browser, with(server.authorization("ca", "a1", "r1.read offline_access", make_pkce()),
                                     {{"intent_scope", "intent:meet"}}));
  ASSERT_NE(back.location_parameter("code"), "");
  const std::string page = browser.get("/agents").body;
  for (const std::string& term :
       {kR1, std::string("Yes. It may act when you are not there."), std::string("Arrange meetings.")})
    EXPECT_NE(page.find(term), std::string::npos) << term;
}

}  // namespace
}  // namespace behalf::test
