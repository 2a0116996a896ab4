// The switches of [delegation]: what the -02 draft demands literally, the names of -00, and the successor's
// error codes. Each is off by default and then changes nothing; -00 is another spelling of the same request,
// never another path.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

const std::string kDraft00Grant = "urn:ietf:params:oauth:grant-type:agent-authorization_code";

void legacy(oauth::Settings& settings) { settings.legacy_draft00 = true; }
void strict(oauth::Settings& settings) { settings.strict_draft02 = true; }
void successor(oauth::Settings& settings) { settings.error_dialect = oauth::ErrorDialect::kSuccessor; }

bool offers(TestServer& server, const std::string& grant) {
  const Reply reply = server.get("/.well-known/oauth-authorization-server");
  for (const json::Value& item : *reply.json.find("grant_types_supported")->array()) {
    if (*item.string() == grant) return true;
  }
  return false;
}

// The good request, naming the agent as -00 does.
Fields old_names(Fields fields) {
  for (auto& [name, value] : fields) {
    if (name == "requested_actor") name = "requested_agent";
    if (name == "actor_token") name = "agent_token";
    if (name == "grant_type") value = kDraft00Grant;
  }
  return with(fields, {{"actor_token_type", kLeaveOut}});
}

TestServer::Code old_code(TestServer& server, const std::string& agent) {
  Browser browser(server);
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  const Reply reply = server.authorize(
      browser, old_names(server.authorization("ca", agent, "r1.read offline_access", code.pkce)));
  code.code = reply.location_parameter("code");
  EXPECT_NE(code.code, "") << reply.status << reply.header("Location");
  return code;
}

TEST(StrictDraft02, state_is_required) {  // B-28, B-29, D-20
  TestServer server;
  const Fields without =
      with(server.authorization("ca", "a1", "r1.read", make_pkce()), {{"state", kLeaveOut}});
  EXPECT_TRUE(ask(server, without).header("Location").starts_with("/login"));
  server.configure(strict);
  expect_sent_back(server, ask(server, without), "invalid_request", "state_missing",
                   {.redirect_uri = kRedirect, .state = ""});
  expect_sent_back(server, ask(server, with(without, {{"state", ""}})), "invalid_request", "state_missing",
                   {.redirect_uri = kRedirect, .state = ""});
  expect_refused(server, server.as("ca", "/par", without), 400, "invalid_request", "state_missing");
  EXPECT_TRUE(ask(server, server.authorization("ca", "a1", "r1.read", make_pkce()))
                  .header("Location")
                  .starts_with("/login"));
}

TEST(LegacyDraft00, off_it_is_unknown) {  // B-33, A-09
  TestServer server;
  EXPECT_FALSE(offers(server, kDraft00Grant));
  Browser browser(server);
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  code.code = server.authorize(browser, old_names(server.authorization("ca", "a1", "r1.read", code.pkce)))
                  .location_parameter("code");
  const Reply reply = server.token("ca", server.redemption(code, ""));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(chain_of(reply.text("access_token")).empty());  // an ordinary token: no agent was named
  // Where an agent must be named, the old name names none.
  server.change("clients", "ca", "require_requested_actor", true);
  expect_sent_back(server, ask(server, old_names(server.authorization("ca", "a1", "r1.read", make_pkce()))),
                   "invalid_request", "requested_actor_missing");
  server.change("clients", "ca", "require_requested_actor", json::Value{});
  const TestServer::Code other = server.get_code("ca", "a1", "r1.read");
  expect_refused(server, server.token("ca", old_names(server.redemption(other, "a1"))), 400,
                 "unsupported_grant_type", "grant_type_unknown");
  expect_refused(server,
                 server.token("ca", with(old_names(server.redemption(other, "a1")),
                                         {{"grant_type", "authorization_code"}})),
                 400, "invalid_request", "actor_token_missing");
}

TEST(LegacyDraft00, the_whole_flow_in_the_old_names) {  // B-32, E-38
  TestServer server;
  server.configure(legacy);
  EXPECT_TRUE(offers(server, kDraft00Grant));
  EXPECT_TRUE(offers(server, "authorization_code"));
  const TestServer::Code code = old_code(server, "a1");
  const Reply reply = server.token("ca", old_names(server.redemption(code, "a1")));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(chain_of(reply.text("access_token")), std::vector<std::string>{"a1"});
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "sub"), "u1");
  const json::Value record = server.last_audit();
  EXPECT_EQ(text_at(record, "event"), "token.authorization_code");
  EXPECT_EQ(text_at(*record.find("details"), "draft"), "00");
  // A refresh proves the agent with the old name too, and not without it.
  const std::string rt = reply.text("refresh_token");
  expect_refused(server, server.token("ca", {{"grant_type", "refresh_token"}, {"refresh_token", rt}}), 400,
                 "invalid_request", "actor_token_missing");
  const Reply refreshed = server.token(
      "ca",
      {{"grant_type", "refresh_token"}, {"refresh_token", rt}, {"agent_token", server.assertion("a1")}});
  ASSERT_EQ(refreshed.status, 200) << refreshed.body;
  EXPECT_EQ(chain_of(refreshed.text("access_token")), std::vector<std::string>{"a1"});
  // Today's names work beside them.
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200);
}

TEST(LegacyDraft00, the_same_checks_as_today) {  // E-02, E-03, E-08, E-11, E-16, F-04, F-24 in the old names
  TestServer server;
  server.configure(legacy);
  const std::string used = server.assertion("a1");
  ASSERT_EQ(server
                .token("ca", with(old_names(server.redemption(old_code(server, "a1"), "a1")),
                                  {{"agent_token", used}}))
                .status,
            200);
  const struct {
    std::string name, client;
    Fields change;
    std::string error, reason;
  } rows[] = {
      {"no proof", "ca", {{"agent_token", kLeaveOut}}, "invalid_request", "actor_token_missing"},
      {"another agent's", "ca", {{"agent_token", server.assertion("a2")}}, "invalid_grant", "actor_mismatch"},
      {"expired",
       "ca",
       {{"agent_token", server.assertion("a1", claims({{"exp", server.clock.now().seconds() - 61},
                                                       {"iat", server.clock.now().seconds() - 120}}))}},
       "invalid_grant",
       "actor_token: expired"},
      {"replayed", "ca", {{"agent_token", used}}, "invalid_grant", "actor_token_replayed"},
      {"wrong verifier", "ca", {{"code_verifier", make_pkce().verifier}}, "invalid_grant", "verifier_wrong"},
      {"other redirect",
       "ca",
       {{"redirect_uri", "https://app.example/other?fixed=1"}},
       "invalid_grant",
       "redirect_uri_differs"},
      {"no redirect", "ca", {{"redirect_uri", kLeaveOut}}, "invalid_request", "redirect_uri_missing"},
      {"other client", "cb", {}, "invalid_grant", "code_of_other_client"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const Fields good = old_names(server.redemption(old_code(server, "a1"), "a1"));
    const Reply reply = server.token(row.client, with(good, row.change));
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.error(), row.error) << reply.body;
    const std::string reason = text_at(server.last_audit(), "reason");
    EXPECT_TRUE(reason == row.reason || (row.name == "expired" && reason.starts_with("actor_token: ")))
        << reason;
    // The code is spent whatever was wrong (D-11).
    expect_refused(server, server.token("ca", with(good, {{"agent_token", server.assertion("a1")}})), 400,
                   "invalid_grant", "code_reused");
  }
}

TEST(LegacyDraft00, old_and_new_names_do_not_mix) {  // B-32, D-44
  TestServer server;
  server.configure(legacy);
  const Fields both =
      with(server.authorization("ca", "a1", "r1.read", make_pkce()), {{"requested_agent", "a1"}});
  expect_sent_back(server, ask(server, both), "invalid_request", "draft00_names_mixed");
  expect_refused(server, server.as("ca", "/par", both), 400, "invalid_request", "draft00_names_mixed");
  expect_sent_back(server,
                   ask(server, with(old_names(server.authorization("ca", "a1", "r1.read", make_pkce())),
                                    {{"agent_token", "x"}})),
                   "invalid_request", "credential_exposure_actor_token");
  expect_sent_back(server,
                   ask(server, old_names(server.authorization("ca", "nobody", "r1.read", make_pkce()))),
                   "invalid_request", "actor_unknown");
  const std::string proof = server.assertion("a1");
  const struct {
    std::string name;
    Fields change;
  } rows[] = {{"old grant, new proof", {{"agent_token", kLeaveOut}, {"actor_token", proof}}},
              {"old grant, both proofs", {{"actor_token", proof}}},
              {"old grant and proof, new type", {{"actor_token_type", kJwtType}}},
              {"new grant, old proof", {{"grant_type", "authorization_code"}}}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const TestServer::Code code = old_code(server, "a1");
    expect_refused(server, server.token("ca", with(old_names(server.redemption(code, "a1")), row.change)),
                   400, "invalid_request", "draft00_names_mixed", {code.code, proof});
    expect_refused(server, server.token("ca", server.redemption(code, "a1")), 400, "invalid_grant",
                   "code_reused");
  }
}

TEST(LegacyDraft00, a_push_in_the_old_names) {  // B-32 by PAR, X09, X10
  TestServer server;
  server.configure(legacy);
  const Fields good = old_names(server.authorization("ca", "a1", "r1.read", make_pkce()));
  const Reply pushed = server.as("ca", "/par", with(good, {{"agent_token", server.assertion("a1")}}));
  ASSERT_EQ(pushed.status, 201) << pushed.body;
  expect_refused(server, server.as("ca", "/par", with(good, {{"agent_token", server.assertion("a2")}})), 400,
                 "invalid_request", "actor_mismatch");
  const std::string open = "/authorize?" + http::write_form({{"client_id", "ca"},
                                                             {"request_uri", pushed.text("request_uri")},
                                                             {"requested_agent", "a2"}});
  Browser browser(server);
  expect_page(server, browser.get(open), 400, "requested_actor_differs");
}

// D-10: the condition, what it is called in each dialect.
TEST(ErrorDialect, the_successor_has_its_own_names) {
  for (const bool is_successor : {false, true}) {
    SCOPED_TRACE(is_successor);
    TestServer server;
    if (is_successor) server.configure(successor);
    const auto expected = [&](const char* registered, const char* other) {
      return std::string(is_successor ? other : registered);
    };
    const auto prefix_is_right = [&](const std::string& description) {
      return (description.find("actor_") == 0) == !is_successor;
    };
    // X02: unknown, suspended, not for this client: one answer.
    std::string first;
    for (const std::string agent : {"nobody", "a3", "a-elsewhere"}) {
      const Reply reply = ask(server, server.authorization("ca", agent, "r1.read", make_pkce()));
      EXPECT_EQ(reply.location_parameter("error"), expected("invalid_request", "invalid_actor"));
      EXPECT_TRUE(prefix_is_right(reply.location_parameter("error_description"))) << reply.header("Location");
      if (first.empty()) first = reply.header("Location");
      EXPECT_EQ(reply.header("Location"), first);
    }
    // X02 with the person known, X07.
    {
      Browser browser(server);
      Decision other;
      other.user = "u2";
      server.change("agents", "a1-picky", "clients", json_of(R"(["ca"])"));
      const Reply reply =
          server.authorize(browser, server.authorization("ca", "a1-picky", "r1.read", make_pkce()), other);
      EXPECT_EQ(reply.location_parameter("error"), expected("access_denied", "invalid_actor"));
    }
    {
      Browser browser(server);
      Decision no;
      no.allow = false;
      EXPECT_EQ(server.authorize(browser, server.authorization("ca", "a1", "r1.read", make_pkce()), no)
                    .location_parameter("error"),
                expected("access_denied", "consent_denied"));
      Browser second(server);
      EXPECT_EQ(server.authorize(second, server.authorization("ca", "", "r1.read", make_pkce()), no)
                    .location_parameter("error"),
                "access_denied");
    }
    // X09, X10
    const Fields push = server.authorization("ca", "a1", "r1.read", make_pkce());
    const Reply bad_push = server.as("ca", "/par", with(push, {{"actor_token", "x.y.z"}}));
    expect_refused(server, bad_push, 400, expected("invalid_request", "invalid_actor_token"),
                   "actor_token_malformed");
    EXPECT_TRUE(prefix_is_right(bad_push.text("error_description")));
    expect_refused(server, server.as("ca", "/par", with(push, {{"actor_token", server.assertion("a2")}})),
                   400, expected("invalid_request", "actor_mismatch"), "actor_mismatch");
    // X13 to X16
    const Fields redeem = server.redemption(server.get_code("ca", "a1", "r1.read"), "a1");
    expect_refused(server, server.token("ca", with(redeem, {{"actor_token", "x.y.z"}})), 400,
                   expected("invalid_grant", "invalid_actor_token"), "actor_token_malformed");
    expect_refused(server,
                   server.token("ca", server.redemption(server.get_code("ca", "a1", "r1.read"), "a2")), 400,
                   expected("invalid_grant", "actor_mismatch"), "actor_mismatch");
    expect_refused(server, server.token("ca", server.redemption(server.get_code("ca", "a1", "r1.read"), "")),
                   400, "invalid_request", "actor_token_missing");
    expect_refused(server, server.token("ca", server.redemption(server.get_code("ca", "", "r1.read"), "a1")),
                   400, "invalid_grant", "actor_token_without_actor");
    // X18: what policy forbids (J-51); a bad token or a loop is what RFC 8693 says, in both.
    const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
    expect_refused(server, server.exchange("ca", t1, "a5"), 400,
                   expected("invalid_request", "actor_unauthorized"), "onward_forbidden");
    expect_refused(server, server.exchange("ca", t1 + "x", "a2"), 400, "invalid_request");
    EXPECT_EQ(server.exchange("ca", t1, "a2").status, 200);
    // On-Behalf-Of has Microsoft's codes, whatever the dialect (D-83).
    const std::string lone = server.flow("ca", "a2", "r1.read").text("access_token");
    EXPECT_EQ(server.on_behalf_of("r1-server", lone, kR2 + "/r2.read").error(), "invalid_request");
  }
}

}  // namespace
}  // namespace behalf::test
