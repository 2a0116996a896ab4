// Access tokens for this server's own APIs (client_credentials with resource = issuer and a scope of this
// server), and the one door they open (RFC 6750), tried at GET /directory.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

// r1-server, the resource R1, may ask for everything this server offers; a1-runtime, which is agent a1, for
// signals.
struct Bearer : testing::Test {
  TestServer server;
  Bearer() {
    server.change("clients", "r1-server", "grant_types", list({kExchange, kJwtBearer, "client_credentials"}));
    server.change("clients", "r1-server", "scopes",
                  list({"r1.read", "r2.read", "behalf.signals", "behalf.evidence", "behalf.decisions"}));
    server.change("clients", "a1-runtime", "scopes", list({"r1.read", "behalf.signals"}));
    server.change("agents", "a1", "scopes",
                  list({"r1.read", "r1.write", "r2.read", "m1.use", "behalf.signals"}));
  }
  Reply ask(const std::string& client, const std::string& scope, const Fields& more = {}) {
    return server.token(
        client, with({{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"scope", scope}}, more));
  }
  std::string token(const std::string& scope = "behalf.signals", const std::string& client = "r1-server") {
    return ask(client, scope).text("access_token");
  }
  Reply directory(const std::string& token, http::Headers headers = {}) {
    headers.set("Authorization", "Bearer " + token);
    return server.get("/directory", headers);
  }
  void expect_challenge(const Reply& reply, const std::string& error) {
    EXPECT_EQ(reply.header("WWW-Authenticate").find("Bearer realm=\"behalf\""), 0u)
        << reply.header("WWW-Authenticate");
    EXPECT_NE(reply.header("WWW-Authenticate").find(error.empty() ? ", scope=" : ", error=\"" + error + "\""),
              std::string::npos);
    EXPECT_NE(reply.header("WWW-Authenticate").find("scope=\"behalf.signals\""), std::string::npos);
    if (error.empty()) {
      EXPECT_EQ(reply.header("WWW-Authenticate").find("error"), std::string::npos);
    }
  }
};

TEST_F(Bearer, a_token_for_this_server_is_an_ordinary_access_token_of_the_software) {
  const Reply reply = ask("r1-server", "behalf.signals behalf.evidence");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.text("scope"), "behalf.evidence behalf.signals");
  const json::Value claims = claims_of(reply.text("access_token"));
  EXPECT_EQ(text_at(header_of(reply.text("access_token")), "typ"), "at+jwt");
  EXPECT_EQ(text_at(claims, "aud"), kIssuer);
  EXPECT_EQ(text_at(claims, "sub"), "r1-server");
  EXPECT_EQ(text_at(claims, "client_id"), "r1-server");
  EXPECT_EQ(text_at(claims, "scope"), "behalf.evidence behalf.signals");
  EXPECT_EQ(claims.find("act"), nullptr);
  EXPECT_EQ(text_at(server.last_audit(), "resource"), kIssuer);
  EXPECT_FALSE(server.is_active("r1-server", reply.text("access_token"))) << "it is addressed to this server";
  EXPECT_EQ(text_at(claims_of(ask("a1-runtime", "behalf.signals").text("access_token")), "sub"), "a1");
}

TEST_F(Bearer, what_is_not_given) {
  const struct {
    std::string name, client, scope;
    Fields more;
    std::string error, reason;
  } rows[] = {
      {"beside a resource's scope",
       "r1-server",
       "behalf.signals r1.read",
       {},
       "invalid_scope",
       "scope_not_of_this_server"},
      {"a resource's scope", "a1-runtime", "r1.read", {}, "invalid_scope", "scope_not_of_this_server"},
      {"one there is not", "r1-server", "behalf.everything", {}, "invalid_scope", "scope_not_of_this_server"},
      {"above the client", "a1-runtime", "behalf.evidence", {}, "invalid_scope", "scope_ceiling"},
      {"above a client without any", "ca", "behalf.signals", {}, "invalid_scope", "scope_ceiling"},
      {"of a resource", "r1-server", "behalf.signals", {{"resource", kR1}}, "invalid_scope", "scope_ceiling"},
      {"of no resource",
       "r1-server",
       "behalf.signals",
       {{"resource", kLeaveOut}},
       "invalid_target",
       "target_missing"},
      {"in another agent's name",
       "a1-runtime",
       "behalf.signals",
       {{"agent", "child"}},
       "invalid_request",
       "agent_parameter"},
      {"for two", "r1-server", "behalf.signals", {{"audience", kR1}}, "invalid_target", "several_targets"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_refused(server, ask(row.client, row.scope, row.more), 400, row.error, row.reason);
  }
  // The agent's own ceiling counts as well.
  server.change("agents", "a1", "scopes", list({"r1.read"}));
  expect_refused(server, ask("a1-runtime", "behalf.signals"), 400, "invalid_scope", "scope_ceiling");
}

TEST_F(Bearer, nobody_consents_to_it_and_nothing_is_exchanged_for_it) {
  server.change("clients", "ca", "scopes", list({"r1.read", "behalf.signals"}));
  Browser browser(server);
  const Reply refused =
      server.authorize(browser, server.authorization("ca", "", "behalf.signals", make_pkce()));
  EXPECT_EQ(refused.location_parameter("error"), "invalid_scope");
  EXPECT_EQ(
      server.authorize(browser, server.authorization("ca", "", "r1.read behalf.signals", make_pkce(), kR1))
          .location_parameter("error"),
      "invalid_scope");
  EXPECT_EQ(server.authorize(browser, server.authorization("ca", "", "r1.read", make_pkce(), kIssuer))
                .location_parameter("error"),
            "invalid_target");
  const std::string own = token();
  expect_refused(server, server.exchange("r1-server", own, ""), 400, "invalid_request",
                 "subject_is_server_token", {own});
  expect_refused(server, server.exchange("r1-server", own, "a2", {{"resource", kR1}}), 400, "invalid_request",
                 "subject_is_server_token", {own});
  expect_refused(server, server.on_behalf_of("r1-server", own, kR2 + "/r2.read"), 400, "invalid_grant",
                 "assertion_without_user", {own});
  const std::string person = server.flow("ca", "a1", "r1.read").text("access_token");
  expect_refused(server, server.exchange("ca", person, "", {{"scope", "behalf.signals"}}), 400,
                 "invalid_scope");
  expect_refused(server, server.exchange("r1-server", person, "", {{"resource", kIssuer}}), 400,
                 "invalid_target");
}

TEST_F(Bearer, it_proves_no_agent) {
  const std::string own = token("behalf.signals", "a1-runtime");
  const std::string subject = server.flow("ca", "a1", "r1.read").text("access_token");
  expect_refused(
      server,
      server.exchange("ca", subject, "", {{"actor_token", own}, {"actor_token_type", kAccessTokenType}}), 400,
      "invalid_request", "actor_token_audience", {own});
  const auto code = server.get_code("ca", "a1", "r1.read");
  expect_refused(server, server.token("ca", with(server.redemption(code, ""), {{"actor_token", own}})), 400,
                 "invalid_grant", "actor_token_audience", {own});
}

TEST_F(Bearer, S2_1_only_in_the_header_and_only_once) {
  const std::string good = token();
  ASSERT_EQ(directory(good).status, 200);
  const struct {
    std::string name;
    std::vector<std::string> headers;
    std::string path;
    int status;
    std::string error, reason;
  } rows[] = {
      {"twice",
       {"Bearer " + good, "Bearer " + good},
       "/directory",
       400,
       "invalid_request",
       "bearer_repeated"},
      {"two kinds",
       {*server.basic("r1-server").find("Authorization"), "Bearer " + good},
       "/directory",
       400,
       "invalid_request",
       "bearer_repeated"},
      {"in the URL", {}, "/directory?access_token=" + good, 400, "invalid_request", "bearer_in_url"},
      {"in both",
       {"Bearer " + good},
       "/directory?access_token=" + good,
       400,
       "invalid_request",
       "bearer_in_url"},
      {"a broken query", {"Bearer " + good}, "/directory?a=%zz", 400, "invalid_request", "malformed_query"},
      {"no token text",
       {"Bearer " + good + ", " + good},
       "/directory",
       401,
       "invalid_token",
       "bearer_malformed"},
      {"nothing after the scheme", {"Bearer "}, "/directory", 401, "invalid_token", ""},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    http::Headers headers;
    for (const std::string& value : row.headers) headers.add("Authorization", value);
    const Reply reply = server.get(row.path, headers);
    if (row.reason.empty()) {
      EXPECT_EQ(reply.status, row.status);
      continue;
    }
    expect_refused(server, reply, row.status, row.error, row.reason, {good});
    expect_challenge(reply, row.error);
  }
  http::Headers lower;
  lower.set("Authorization", "bEARER " + good);
  EXPECT_EQ(server.get("/directory", lower).status, 200);
}

TEST_F(Bearer, S3_1_without_a_token_no_error_is_told) {
  for (const http::Headers& headers : {http::Headers{}, server.basic("r1-server")}) {
    const Reply reply = server.get("/directory", headers);
    EXPECT_EQ(reply.status, 401);
    expect_challenge(reply, "");
    EXPECT_EQ(reply.body, "{}");
    EXPECT_EQ(text_at(server.last_audit(), "event"), "directory.read");
    EXPECT_EQ(text_at(server.last_audit(), "reason"), "bearer_missing");
    EXPECT_EQ(server.last_audit().find("error"), nullptr);
  }
}

TEST_F(Bearer, S3_1_what_is_refused) {
  const std::string person = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string forged = token() + "x";
  const std::string foreign = server.sign("a1", "at+jwt", claims_of(token()));
  const struct {
    std::string name, token;
    int status;
    std::string error, reason;
  } rows[] = {
      {"garbage", "nothing-that-was-ever-a-token", 401, "invalid_token", "bearer_not_a_jwt"},
      {"forged", forged, 401, "invalid_token", ""},
      {"signed by another", foreign, 401, "invalid_token", ""},
      {"a person's token for an API", person, 401, "invalid_token", "bearer_audience"},
      {"the software's own token for an API",
       server.token("ca", {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
           .text("access_token"),
       401, "invalid_token", "bearer_audience"},
      {"an actor token", server.issued_actor_token("a1"), 403, "insufficient_scope", "bearer_is_actor_token"},
      {"another scope of this server", token("behalf.evidence"), 403, "insufficient_scope", "bearer_scope"},
      {"a client assertion", server.assertion("a1"), 401, "invalid_token", ""},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const Reply reply = directory(row.token);
    expect_refused(server, reply, row.status, row.error, row.reason, {row.token});
    expect_challenge(reply, row.error);
  }
}

TEST_F(Bearer, it_dies_like_any_other_token) {
  const std::string spoken = token();
  server.change("clients", "r1-server", "scopes", list({"r1.read", "behalf.evidence"}));
  expect_refused(server, directory(spoken), 403, "insufficient_scope", "bearer_scope_withdrawn");
  EXPECT_FALSE(server.is_active("r1-server", spoken));
  server.change("clients", "r1-server", "scopes", list({"behalf.signals"}));
  EXPECT_EQ(directory(spoken).status, 200);

  EXPECT_EQ(server.as("r1-server", "/revoke", {{"token", spoken}}).status, 200);
  expect_refused(server, directory(spoken), 401, "invalid_token", "bearer_ended");

  const std::string suspended = token();
  server.suspend("client", "r1-server");
  expect_refused(server, directory(suspended), 401, "invalid_token");
  server.resume("client", "r1-server");
  expect_refused(server, directory(suspended), 401, "invalid_token");
  EXPECT_EQ(directory(token()).status, 200);

  const std::string of_agent = token("behalf.signals", "a1-runtime");
  ASSERT_EQ(directory(of_agent).status, 200);
  server.suspend("agent", "a1");
  expect_refused(server, directory(of_agent), 401, "invalid_token", "bearer_subject_inactive");

  const std::string old = token();
  server.clock.advance(Seconds{601});
  expect_refused(server, directory(old), 401, "invalid_token", "bearer_expired");
}

TEST_F(Bearer, who_fails_too_often_waits_and_nobody_with_him) {
  server.configure([](oauth::Settings& settings) { settings.limits.failures = 3; });
  const std::string good = token();
  const std::string wrong = server.issued_actor_token("a1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(directory("nonsense").status, 401);
  EXPECT_EQ(directory("nonsense").status, 429);
  EXPECT_EQ(server.get("/directory").status, 429);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(directory(wrong).status, 403);
  EXPECT_EQ(directory(wrong).status, 429);
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "limit_bearer");
  EXPECT_EQ(directory(good).status, 200);
}

TEST_F(Bearer, the_directory_names_every_agent_and_who_answers_for_it) {
  const std::string good = token();
  const size_t before = server.audit().size();
  const Reply reply = directory(good);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(server.audit().size(), before);  // who only reads is not recorded
  const json::Value& agents = *reply.json.find("agents");
  ASSERT_EQ(agents.array()->size(), 10u);
  EXPECT_EQ(
      json::write(agents.array()->front()),
      R"({"id":"a-elsewhere","name":"Agent a-elsewhere","publisher":"Publisher of a-elsewhere","owner":"owner-of-a-elsewhere","status":"active"})");
  EXPECT_NE(
      reply.body.find(
          R"("id":"a3","name":"Agent a3","publisher":"Publisher of a3","owner":"owner-of-a3","status":"suspended")"),
      std::string::npos);
  EXPECT_EQ(reply.header("Cache-Control"), "private, no-cache");

  http::Headers known;
  known.set("If-None-Match", "\"other\", " + reply.header("ETag"));
  const Reply unchanged = directory(good, known);
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.body, "");
  EXPECT_EQ(unchanged.header("ETag"), reply.header("ETag"));
  server.suspend("agent", "a2");
  const Reply changed = directory(good, known);
  EXPECT_EQ(changed.status, 200);
  EXPECT_NE(changed.header("ETag"), reply.header("ETag"));
  // Not without the token, whatever is known already.
  known.set("If-None-Match", "*");
  EXPECT_EQ(server.get("/directory", known).status, 401);
  EXPECT_EQ(server.post("/directory", {}).status, 405);
}

TEST_F(Bearer, via_names_the_clients_it_was_passed_on_through) {
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  EXPECT_EQ(claims_of(t1).find("via"), nullptr);
  const std::string t2 = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  EXPECT_NE(t2.find('.'), std::string::npos);
  const auto via = [](const json::Value& value) {
    return value.find("via") == nullptr ? std::string("none") : json::write(*value.find("via"));
  };
  EXPECT_EQ(via(claims_of(t2)), R"(["ca"])");
  EXPECT_EQ(via(server.introspect("r2-server", t2).json), R"(["ca"])");
  server.change("resources", kR2, "chain_disclosure", "outermost");
  const std::string t3 = server.exchange("m1", t1, "a2", {{"resource", kR2}}).text("access_token");
  EXPECT_EQ(chain_of(t3), std::vector<std::string>{"a2"});
  EXPECT_EQ(via(claims_of(t3)), "none");
  EXPECT_EQ(via(server.introspect("r2-server", t3).json), "none");
}

TEST_F(Bearer, a_token_whose_resource_is_gone_has_nothing_left) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  ASSERT_TRUE(server.is_active("r1-server", t1));
  server.services().store.run([&](store::Transaction& transaction) {
    transaction.remove_resource(ResourceId(kR1), server.clock.now());
  });
  EXPECT_FALSE(server.is_active("r1-server", t1));
  EXPECT_EQ(text_at(server.last_audit(), "reason"), "scope_withdrawn");
}

}  // namespace
}  // namespace behalf::test
