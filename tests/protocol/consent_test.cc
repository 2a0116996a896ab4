// The person's decision (decisions D-18, D-19, D-23, D-36; invariants I6, I7): what the page says, what it is
// bound to, and when it may be skipped.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

class Consent : public ::testing::Test {
 protected:
  void SetUp() override { server.sign_in(browser, "u1"); }
  Fields asked(const std::string& agent = "a1", const std::string& scope = "r1.read",
               const std::string& client = "ca") {
    return with(server.authorization(client, agent, scope, pkce), {{"prompt", "consent"}});
  }
  Reply page(const Fields& fields) {
    const Reply reply = browser.get("/authorize?" + http::write_form(fields));
    EXPECT_TRUE(reply.header("Location").starts_with("/consent")) << reply.header("Location");
    return browser.get(reply.header("Location"));
  }
  static Fields form(const Reply& page, const Fields& more) {
    Fields fields{{"csrf", hidden_input(page.body, "/consent", "csrf")},
                  {"request", hidden_input(page.body, "/consent", "request")},
                  {"decision", "allow"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  bool must_decide(const Fields& fields) {
    const Reply reply = browser.get("/authorize?" + http::write_form(with(fields, {{"prompt", kLeaveOut}})));
    return reply.header("Location").starts_with("/consent");
  }
  TestServer server;
  Browser browser{server};
  Pkce pkce = make_pkce();
};

TEST_F(Consent, D19_the_page_names_everyone_from_the_registry) {  // C-02, C-03, C-04, 69, 93
  const Reply shown =
      page(with(asked("a1", "r1.read r1.write"),
                {{"client_name", "Mallory"}, {"actor_name", "<b>Mallory</b>"}, {"login_hint", "<i>x"}}));
  ASSERT_EQ(shown.status, 200);
  for (const char* text :
       {"User One", "Client ca", "Agent a1", "Publisher of a1", "owner-of-a1", "a1", "Title of r1.read",
        "Title of r1.write", "Resource R1", "app.example", "30 days", "software"}) {
    EXPECT_NE(shown.body.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(shown.body.find("Mallory"), std::string::npos);
  EXPECT_EQ(shown.header("X-Frame-Options"), "DENY");
  EXPECT_EQ(shown.header("Referrer-Policy"), "no-referrer");
  EXPECT_EQ(shown.header("Cache-Control"), "no-store");
  server.change("agents", "a1", "name", "<img src=x onerror=1>");
  const Reply escaped = page(asked());
  EXPECT_EQ(escaped.body.find("<img src=x"), std::string::npos);
  EXPECT_NE(escaped.body.find("&lt;img"), std::string::npos);
}

TEST_F(Consent, I7_the_answer_belongs_to_this_browser_session_and_request) {  // C-06, 67, 68
  const Reply one = page(asked("a1", "r1.read"));
  const Reply two = page(asked("a2", "r1.read"));
  const Fields good = form(one, {{"scope", "r1.read"}});
  const std::string other = hidden_input(two.body, "/consent", "csrf");
  for (const std::string& token : {other, std::string("x"), std::string{}, kLeaveOut}) {
    expect_page(server, browser.post("/consent", with(good, {{"csrf", token}})), 403, "csrf");
  }
  expect_page(
      server,
      browser.post("/consent", with(good, {{"request", hidden_input(two.body, "/consent", "request")}})), 403,
      "csrf");
  http::Headers cross;
  cross.set("Origin", "https://evil.example");
  expect_page(server, browser.post("/consent", good, cross), 403, "csrf");
  http::Headers site;
  site.set("Sec-Fetch-Site", "cross-site");
  expect_page(server, browser.post("/consent", good, site), 403, "csrf");
  Browser stranger(server);
  expect_page(server, stranger.post("/consent", good), 403, "csrf");
  server.sign_in(stranger, "u1");
  expect_page(server, stranger.post("/consent", good), 403, "csrf");
  EXPECT_NE(browser.post("/consent", good).location_parameter("code"), "");
  expect_page(server, browser.post("/consent", good), 400);  // once
}

TEST_F(Consent, D23_a_page_out_of_date_is_shown_again) {  // C-20, 107
  const Reply before = page(asked());
  server.change("agents", "a1", "name", "Another name");
  const Reply again = browser.post("/consent", form(before, {{"scope", "r1.read"}}));
  EXPECT_TRUE(again.header("Location").starts_with("/consent")) << again.header("Location");
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "page_out_of_date");
  const Reply after = browser.get(again.header("Location"));
  EXPECT_NE(after.body.find("Another name"), std::string::npos);
  EXPECT_NE(browser.post("/consent", form(after, {{"scope", "r1.read"}})).location_parameter("code"), "");
  const Reply open = page(asked());
  server.suspend("agent", "a1");
  expect_sent_back(server, browser.post("/consent", form(open, {{"scope", "r1.read"}})), "access_denied",
                   "agent_inactive");
}

TEST_F(Consent, D36_only_what_is_ticked_and_offered_is_given) {  // C-08, C-22, B-05, 85
  const Reply shown = page(asked("a1", "r1.read r1.write offline_access"));
  const Reply back = browser.post("/consent", form(shown, {{"scope", "r1.read"}, {"scope", "r2.read"}}));
  const Reply token =
      server.token("ca", server.redemption({.code = back.location_parameter("code"), .pkce = pkce}, "a1"));
  EXPECT_EQ(token.text("scope"), "r1.read");
  expect_refused(server,
                 server.token("ca", {{"grant_type", "refresh_token"},
                                     {"refresh_token", token.text("refresh_token")},
                                     {"scope", "r1.write"},
                                     {"actor_token", server.assertion("a1")}}),
                 400, "invalid_scope");
  expect_sent_back(server, browser.post("/consent", form(page(asked()), {})), "access_denied",
                   "nothing_ticked");
  Browser second(server);
  server.sign_in(second, "u2");
  std::swap(second.cookies, browser.cookies);
  const Reply offered = page(asked("a1", "r1.read r1.write"));
  EXPECT_EQ(offered.body.find("value=\"r1.write\""), std::string::npos);
  const Reply edited = browser.post("/consent", form(offered, {{"scope", "r1.read"}, {"scope", "r1.write"}}));
  EXPECT_EQ(
      server.token("ca", server.redemption({.code = edited.location_parameter("code"), .pkce = pkce}, "a1"))
          .text("scope"),
      "r1.read");
  expect_sent_back(server, browser.get("/authorize?" + http::write_form(asked("a1-picky"))), "access_denied",
                   "agent_not_for_this_user");
}

TEST_F(Consent, X07_a_denial_leaves_nothing) {  // C-07, 86
  expect_sent_back(
      server,
      browser.post("/consent", with(form(page(asked()), {{"scope", "r1.read"}}), {{"decision", "deny"}})),
      "access_denied", "denied_by_person");
  expect_sent_back(
      server,
      browser.post("/consent", with(form(page(asked()), {{"scope", "r1.read"}}), {{"decision", kLeaveOut}})),
      "access_denied");
  EXPECT_TRUE(must_decide(asked()));
}

TEST_F(Consent, an_answered_request_says_so_and_nothing_that_is_not_known) {
  const auto says = [](const Reply& reply, const char* text) {
    return reply.body.find(text) != std::string::npos;
  };
  for (const char* decision : {"allow", "deny"}) {
    const Reply shown = page(asked());
    const std::string request = hidden_input(shown.body, "/consent", "request");
    const Fields answer = with(form(shown, {{"scope", "r1.read"}}), {{"decision", decision}});
    ASSERT_EQ(browser.post("/consent", answer).status, 303);
    // Back, or the button once more.
    for (const Reply& again : {browser.get("/consent?request=" + request), browser.post("/consent", answer),
                               browser.get("/login?request=" + request)}) {
      expect_page(server, again, 400, "request_unusable");
      EXPECT_TRUE(says(again, "You have already answered this request")) << again.body;
      EXPECT_TRUE(says(again, "<a class=\"button\" href=\"/agents\">My agents</a>"));
      EXPECT_FALSE(says(again, "Nothing was allowed"));
      EXPECT_FALSE(says(again, "allowed nothing"));
      EXPECT_FALSE(says(again, "This did not work"));
    }
    // Another browser learns nothing of it.
    Browser stranger(server);
    server.sign_in(stranger, "u1");
    const Reply elsewhere = stranger.get("/consent?request=" + request);
    expect_page(server, elsewhere, 400, "request_unusable");
    EXPECT_TRUE(says(elsewhere, "It has ended, or was opened in another browser."));
    EXPECT_FALSE(says(elsewhere, "already answered"));
    EXPECT_FALSE(says(elsewhere, "Nothing was allowed"));
  }
  // Nobody answered this one.
  const Reply shown = page(asked());
  server.clock.advance(server.services().settings.interaction_lifetime);
  const Reply late = browser.get("/consent?request=" + hidden_input(shown.body, "/consent", "request"));
  expect_page(server, late, 400, "request_unusable");
  EXPECT_TRUE(says(late, "It was not answered in time, so it has allowed nothing."));
}

TEST_F(Consent, D31_while_you_are_away_is_what_the_token_endpoint_does) {
  const auto expect_told = [&](const std::string& client, const std::string& agent, bool is_given) {
    const Reply shown = page(asked(agent, "r1.read offline_access", client));
    EXPECT_EQ(shown.body.find("Yes. It may act when you are not there.") != std::string::npos, is_given)
        << client << " " << agent;
    EXPECT_EQ(shown.body.find("No. Only while you use it") != std::string::npos, !is_given);
    const Reply back = browser.post("/consent", form(shown, {{"scope", "r1.read"}}));
    const Reply token = server.token(
        client, server.redemption({.code = back.location_parameter("code"), .pkce = pkce}, agent));
    ASSERT_EQ(token.status, 200) << token.body;
    EXPECT_EQ(!token.text("refresh_token").empty(), is_given) << token.body;
    server.services().store.run_read([&](store::ReadTransaction& transaction) {
      const std::string id = text_at(claims_of(token.text("access_token")), "grant_id");
      EXPECT_EQ(transaction.find_grant(GrantId(id))->offline, is_given);
    });
    // What was said is not asked again.
    EXPECT_FALSE(must_decide(asked(agent, "r1.read offline_access", client)));
  };
  expect_told("ca", "a1", true);
  server.change("agents", "a1", "refresh_lifetime", json::Value{});
  expect_told("ca", "a1", false);
  server.change("clients", "ca", "refresh_lifetime", "1h");
  expect_told("ca", "", true);
  server.change("clients", "ca", "refresh_lifetime", json::Value{});
  expect_told("ca", "", false);
  server.change("clients", "ca", "grant_types", list({"authorization_code"}));
  server.change("agents", "a1", "refresh_lifetime", "1h");
  expect_told("ca", "a1", false);
}

TEST_F(Consent, a_refusal_without_an_address_speaks_to_people_first) {
  const auto expect_told = [&](const Fields& fields, const char* sentence, const char* detail) {
    const Reply reply = ask(server, fields);
    expect_page(server, reply, 400);
    EXPECT_NE(reply.body.find("<p class=\"lead\">" + std::string(sentence)), std::string::npos) << reply.body;
    EXPECT_NE(reply.body.find("For developers: <bdi class=\"code\" dir=\"ltr\">" + std::string(detail)),
              std::string::npos)
        << reply.body;
  };
  expect_told(
      with(asked(), {{"redirect_uri", "https://evil.example/cb"}}),
      "The app that sent you here does not say where the answer goes, or names an address that is not "
      "registered for it.",
      "redirect_uri is not registered for this client");
  expect_told(with(asked(), {{"client_id", "nobody"}}),
              "The app that sent you here is not known, or no longer active.",
              "the client is not known here");
  expect_told(with(asked(), {{"client_id", "r1-server"}}),
              "The app that sent you here is not set up to ask people for permission.",
              "the client does not use this flow");
  expect_told(with(asked(), {{"request_uri", "https://app.example/r"}}),
              "The app that sent you here used a link that is not one of ours.",
              "this link is not one of ours");
  // What somebody sends is not what our page says.
  const Reply twice =
      browser.post("/consent", {{"Your account is locked", "1"}, {"Your account is locked", "2"}});
  expect_page(server, twice, 400, "repeated_parameter");
  EXPECT_EQ(twice.body.find("Your account is locked"), std::string::npos);
}

TEST_F(Consent, D18_only_an_exact_earlier_decision_answers) {  // C-10 to C-16, 82, D-50
  const Fields base = asked();
  ASSERT_NE(browser.post("/consent", form(page(base), {{"scope", "r1.read"}})).location_parameter("code"),
            "");
  EXPECT_FALSE(must_decide(base));
  EXPECT_TRUE(must_decide(asked("a2")));
  EXPECT_TRUE(must_decide(asked("a1", "r1.read", "cb")));
  EXPECT_TRUE(must_decide(asked("a1", "r1.read r1.write")));
  EXPECT_TRUE(must_decide(asked("a1", "r1.read offline_access")));
  EXPECT_TRUE(must_decide(asked("", "r1.read")));
  EXPECT_TRUE(must_decide(with(asked("a1", "r2.read"), {{"resource", kR2}})));
  EXPECT_TRUE(must_decide(with(base, {{"resource", kM1}})));  // the same scope elsewhere
  EXPECT_TRUE(must_decide(with(base, {{"redirect_uri", "http://127.0.0.1:1/loop"}})));
  EXPECT_FALSE(must_decide(base));
  server.change("agents", "a1", "owner", "someone-else");
  EXPECT_TRUE(must_decide(base));
  server.change("agents", "a1", "owner", "owner-of-a1");
  EXPECT_FALSE(must_decide(base));
  server.change("agents", "a1", "capability_version", "2");
  EXPECT_TRUE(must_decide(base));
  server.change("agents", "a1", "capability_version", "1");
  server.clock.advance(Seconds{30 * 86400});
  server.sign_in(browser, "u1");
  EXPECT_TRUE(must_decide(base));
}

TEST_F(Consent, D45_a_purpose_is_the_registrys_and_remembered_for_itself) {  // B-36
  server.change("agents", "a1", "intents", json_of(R"([{"name":"intent:meet","text":"Arrange meetings."}])"));
  const auto asking_for = [&](const std::string& intent) {
    return with(asked(), {{"intent_scope", intent}});
  };
  for (const char* intent :
       {"intent:unknown", "Arrange meetings and pay.", "INTENT:MEET", "intent:meet ", ""}) {
    EXPECT_EQ(page(asking_for(intent)).body.find("Stated purpose"), std::string::npos) << intent;
  }
  EXPECT_EQ(page(with(asked("a2"), {{"intent_scope", "intent:meet"}})).body.find("Stated purpose"),
            std::string::npos);
  ASSERT_NE(browser.post("/consent", form(page(asked()), {{"scope", "r1.read"}})).location_parameter("code"),
            "");
  EXPECT_TRUE(must_decide(asking_for("intent:meet"))) << "given for no purpose";
  const Reply shown = page(asking_for("intent:meet"));
  EXPECT_NE(shown.body.find("Arrange meetings."), std::string::npos);
  ASSERT_NE(browser.post("/consent", form(shown, {{"scope", "r1.read"}})).location_parameter("code"), "");
  EXPECT_EQ(text_at(*server.last_audit().find("details"), "purpose"), "Arrange meetings.");
  EXPECT_FALSE(must_decide(asking_for("intent:meet")));
  EXPECT_FALSE(must_decide(asking_for("intent:unknown")));
  server.change("agents", "a1", "intents", json_of(R"([{"name":"intent:meet","text":"Something else."}])"));
  EXPECT_TRUE(must_decide(asking_for("intent:meet"))) << "other words";
}

}  // namespace
}  // namespace behalf::test
