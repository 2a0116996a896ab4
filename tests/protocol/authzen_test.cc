// AuthZEN Authorization API 1.0: may this agent act for this person here, asked before there is a token.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

struct Authzen : testing::Test {
  TestServer server;
  std::string token;
  Authzen() {
    server.change("clients", "r1-server", "grant_types", list({kExchange, kJwtBearer, "client_credentials"}));
    server.change("clients", "r1-server", "scopes",
                  list({"r1.read", "r2.read", "behalf.decisions", "behalf.signals"}));
    token = bearer("behalf.decisions");
  }
  std::string bearer(const std::string& scope) {
    return server
        .token("r1-server", {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"scope", scope}})
        .text("access_token");
  }
  Reply post(const std::string& path, const std::string& body, const http::Headers& more = {},
             const std::string& type = "application/json") {
    http::ClientRequest request{.method = "POST", .path_and_query = path, .headers = more, .body = body};
    if (!type.empty()) request.headers.set("Content-Type", type);
    if (request.headers.find("Authorization") == nullptr)
      request.headers.set("Authorization", "Bearer " + token);
    return server.send(request);
  }
  Reply ask(const std::string& body) { return post("/access/v1/evaluation", body); }
  Reply ask_all(const std::string& body) { return post("/access/v1/evaluations", body); }
  static std::string question(const std::string& agent = "a1", const std::string& person = "u1",
                              const std::string& scope = "r1.read", const std::string& resource = kR1,
                              const std::string& more = {}) {
    return R"({"subject":{"type":"user","id":")" + person + R"("},"action":{"name":")" + scope +
           R"("},"resource":{"type":"api","id":")" + resource + R"("},"context":{)" +
           (agent.empty() ? R"("x":0)" : R"("agent":")" + agent + "\"") + more + "}}";
  }
  static bool decision(const json::Value& answer) {
    const json::Value* member = answer.find("decision");
    EXPECT_TRUE(member != nullptr && member->boolean() != nullptr) << json::write(answer);
    return member != nullptr && member->boolean() != nullptr && *member->boolean();
  }
  static std::string reason(const json::Value& answer) {
    return answer.find("context") == nullptr ? "" : text_at(*answer.find("context"), "reason");
  }
  void expect_answer(const Reply& reply, bool allowed, const std::string& why) {
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(decision(reply.json), allowed) << reply.body;
    EXPECT_EQ(reason(reply.json), why) << reply.body;
    EXPECT_EQ(text_at(server.last_audit(), "event"), "access.evaluation");
    EXPECT_EQ(text_at(server.last_audit(), "outcome"), allowed ? "allowed" : "denied");
    EXPECT_EQ(text_at(server.last_audit(), "reason"), why);
  }
};

TEST_F(Authzen, AZ01_what_was_consented_to_is_permitted_and_recorded) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const Reply reply = ask(question());
  expect_answer(reply, true, "consent");
  EXPECT_EQ(text_at(*reply.json.find("context"), "grant_id"), text_at(claims_of(t1), "grant_id"));
  EXPECT_EQ(text_at(*reply.json.find("context"), "client"), "ca");
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  const json::Value record = server.last_audit();
  EXPECT_EQ(text_at(record, "user"), "u1");
  EXPECT_EQ(text_at(record, "agent"), "a1");
  EXPECT_EQ(text_at(record, "client"), "r1-server");
  EXPECT_EQ(text_at(record, "grant"), text_at(claims_of(t1), "grant_id"));
  EXPECT_EQ(text_at(record, "scope"), "r1.read");
  EXPECT_EQ(text_at(record, "resource"), kR1);
  // The agent as the subject; and by the client that it is.
  expect_answer(
      ask(R"({"subject":{"type":"agent","id":"a1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"},"context":{"user":"u1"}})"),
      true, "consent");
  expect_answer(ask(question("a1-runtime")), true, "consent");
}

TEST_F(Authzen, AZ02_what_was_not_is_denied_with_200) {
  server.flow("ca", "a1", "r1.read");
  server.flow("ca", "", "r2.read");
  const struct {
    std::string name, body, reason;
  } rows[] = {
      {"another agent", question("a2"), "no_consent"},
      {"another person", question("a1", "u2"), "no_consent"},
      {"another scope", question("a1", "u1", "r1.write"), "scope_not_consented"},
      {"another resource", question("a1", "u1", "r2.read", kR2), "resource_not_consented"},
      {"a scope of nobody", question("a1", "u1", "x"), "scope_unknown"},
      {"a resource of nobody", question("a1", "u1", "r1.read", "https://api.example/none"),
       "resource_unknown"},
      {"an agent of nobody", question("none"), "agent_unknown"},
      {"a person of nobody", question("a1", "none"), "person_unknown"},
      {"a suspended agent", question("a3"), "agent_inactive"},
      {"an agent not for this person", question("a1-picky", "u2"), "agent_not_for_this_user"},
      {"above the agent", question("a2", "u1", "r1.write"), "scope_above_agent"},
      {"above the person", question("a1", "u2", "r1.write"), "scope_above_person"},
      {"through another client", question("a1", "u1", "r1.read", kR1, R"(,"client":"cb")"), "no_consent"},
      {"a client of nobody", question("a1", "u1", "r1.read", kR1, R"(,"client":"none")"), "client_unknown"},
      {"under another consent",
       question("a1", "u1", "r1.read", kR1, R"(,"grant_id":"01aaaaaaaaaaaaaaaaaaaaaaaa")"), "no_consent"},
      {"no agent, where one was named",
       R"({"subject":{"type":"user","id":"u1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"}})",
       "scope_not_consented"},
      {"another kind of subject",
       R"({"subject":{"type":"group","id":"u1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"}})",
       "person_unknown"},
      {"an agent for nobody",
       R"({"subject":{"type":"agent","id":"a1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"}})",
       "person_unknown"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_answer(ask(row.body), false, row.reason);
  }
}

TEST_F(Authzen, what_ended_is_over) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  expect_answer(ask(question()), true, "consent");
  server.change("clients", "ca", "scopes", list({"r2.read"}));
  expect_answer(ask(question()), false, "scope_above_client");
  server.change("clients", "ca", "scopes", list({"r1.read", "r2.read"}));
  server.change("agents", "a1", "clients", list({"cb"}));
  expect_answer(ask(question()), false, "agent_not_for_this_client");
  server.change("agents", "a1", "clients", list({"ca"}));
  expect_answer(ask(question()), true, "consent");
  server.suspend("agent", "a1");
  expect_answer(ask(question()), false, "agent_inactive");
  server.resume("agent", "a1");
  expect_answer(ask(question()), false, "no_consent");  // a suspension ends consents for good
  server.flow("ca", "a1", "r1.read");
  expect_answer(ask(question()), true, "consent");
  server.clock.advance(Seconds{31 * 86400});
  token = bearer("behalf.decisions");
  expect_answer(ask(question()), false, "grant_expired");
}

TEST_F(Authzen, a_chain_is_what_was_passed_on) {
  server.flow("ca", "a1", "r1.read");
  const auto chain = [&](const std::string& names) {
    return question("", "u1", "r1.read", kR1, ",\"chain\":[" + names + "]");
  };
  expect_answer(ask(chain(R"("a2","a1")")), true, "consent");
  expect_answer(ask(chain(R"({"sub":"a2","iss":"https://as.example"},{"sub":"a1"})")), true, "consent");
  expect_answer(ask(chain(R"("a1","a2")")), false, "no_consent");  // another one was named
  const Reply refused = ask(chain(R"("a5","a1")"));                // a1 passes on to others
  EXPECT_FALSE(decision(refused.json));
  EXPECT_EQ(reason(refused.json), "onward_forbidden");
  EXPECT_FALSE(decision(ask(chain(R"("a1","a2","a1")")).json));
  server.flow("ca", "a4", "r1.read", kR1, {.user = "u1", .allow = true, .scopes = {}, .onward = false});
  EXPECT_EQ(reason(ask(chain(R"("a5","a4")")).json), "onward_depth_used_up");  // the person did not allow it
}

TEST_F(Authzen, a_gateways_question_about_a_path_is_one_about_its_token) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const auto body = [&](const std::string& scopes) {
    return R"({"subject":{"type":"user","id":"u1","properties":{"issuer":"https://as.example"}},"action":{"name":"GET"},"resource":{"type":"path","id":"/mail/1",
        "properties":{"host":"api.example","path":"/mail/1","resource":"https://api.example/r1"}},"context":{"client":"ca","agent":"a1","chain":[{"sub":"a1","iss":"https://as.example"}],"scopes":)" +
           scopes + R"(,"grant_id":")" + text_at(claims_of(t1), "grant_id") +
           R"(","time":"2026-11-25T00:00:00Z"}})";
  };
  expect_answer(ask(body(R"(["r1.read"])")), true, "consent");
  expect_answer(ask(body(R"(["r1.read","r1.write"])")), false, "scope_not_consented");
  expect_answer(ask(body("[]")), false, "scope_missing");
}

TEST_F(Authzen, a_person_under_the_resources_own_name_is_known_by_the_consent) {
  server.change("resources", kR1, "subject_type", "pairwise");
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string name = text_at(claims_of(t1), "sub");
  ASSERT_NE(name, "u1");
  const std::string grant = R"(,"grant_id":")" + text_at(claims_of(t1), "grant_id") + "\"";
  expect_answer(ask(question("a1", name, "r1.read", kR1, grant)), true, "consent");
  expect_answer(ask(question("a1", name)), false, "person_unknown");
  expect_answer(ask(question("a1", name + "x", "r1.read", kR1, grant)), false, "person_unknown");
}

TEST_F(Authzen, AZ04_to_AZ09_what_is_malformed) {
  const std::string rest =
      R"("action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"}})";
  const struct {
    std::string name, body, type, reason;
  } rows[] = {
      {"AZ-04 subject as text", R"({"subject":"u1",)" + rest, "application/json", "question_malformed"},
      {"no subject", "{" + rest, "application/json", "question_malformed"},
      {"a subject without a type", R"({"subject":{"id":"u1"},)" + rest, "application/json",
       "question_malformed"},
      {"a number for an id", R"({"subject":{"type":"user","id":1},)" + rest, "application/json",
       "question_malformed"},
      {"no action", R"({"subject":{"type":"user","id":"u1"},"resource":{"type":"api","id":"x"}})",
       "application/json", "question_malformed"},
      {"no resource", R"({"subject":{"type":"user","id":"u1"},"action":{"name":"x"}})", "application/json",
       "question_malformed"},
      {"context as text", R"({"subject":{"type":"user","id":"u1"},"context":"x",)" + rest, "application/json",
       "question_malformed"},
      {"AZ-06 text", question(), "text/plain", "content_type"},
      {"no type", question(), "", "content_type"},
      {"AZ-08 no JSON", "{", "application/json", "malformed_json"},
      {"a member twice", R"({"subject":{},"subject":{}})", "application/json", "malformed_json"},
      {"AZ-09 a list", "[" + question() + "]", "application/json", "malformed_json"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_refused(server, post("/access/v1/evaluation", row.body, {}, row.type), 400, "invalid_request",
                   row.reason);
  }
  EXPECT_EQ(server.get("/access/v1/evaluation").status, 405);  // AZ-05
  EXPECT_EQ(
      server.send({.method = "PUT", .path_and_query = "/access/v1/evaluations", .headers = {}, .body = "{}"})
          .status,
      405);
}

// A restriction that is not understood is no restriction: it must not be passed over.
TEST_F(Authzen, what_narrows_the_question_is_understood_or_refused) {
  server.flow("ca", "a1", "r1.read");
  const auto chain_of = [](size_t count) {
    std::string names;
    for (size_t i = 0; i < count; ++i) names += (i == 0 ? "" : ",") + std::string("\"a1\"");
    return ",\"chain\":[" + names + "]";
  };
  std::string scopes;
  for (int i = 0; i < 256; ++i) scopes += "\"r1.read\",";
  for (const std::string& more : std::vector<std::string>{R"(,"client":["cb"])",
                                                          R"(,"client":7)",
                                                          R"(,"client":"")",
                                                          R"(,"client":null)",
                                                          R"(,"grant_id":1)",
                                                          R"(,"grant_id":"")",
                                                          R"(,"user":1)",
                                                          R"(,"user":"u2")",
                                                          R"(,"chain":"a1")",
                                                          R"(,"chain":{})",
                                                          R"(,"chain":null)",
                                                          R"(,"chain":["a1",{"id":"a3"}])",
                                                          R"(,"chain":["a1",""])",
                                                          R"(,"chain":["a1",5])",
                                                          R"(,"chain":[{"sub":"a1","iss":5}])",
                                                          R"(,"chain":["a2"])",
                                                          R"(,"chain":[])",
                                                          chain_of(33),
                                                          R"(,"scopes":"r1.read")",
                                                          R"(,"scopes":["r1.read",{"name":"r1.write"}])",
                                                          ",\"scopes\":[" + scopes + "\"r1.write\"]"}) {
    SCOPED_TRACE(more);
    expect_refused(server, ask(question("a1", "u1", "r1.read", kR1, more)), 400, "invalid_request",
                   "question_malformed");
  }
  for (const char* agent : {R"("agent":5)", R"("agent":"")", R"("agent":null)"}) {
    SCOPED_TRACE(agent);
    expect_refused(server, ask(question("", "u1", "r1.read", kR1, std::string(",") + agent)), 400,
                   "invalid_request", "question_malformed");
  }
  const auto of_agent = [&](const std::string& context) {
    return ask(
        R"({"subject":{"type":"agent","id":"a1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"},"context":{"user":"u1")" +
        context + "}}");
  };
  expect_answer(of_agent(R"(,"agent":"a1","chain":["a1"])"), true, "consent");
  expect_refused(server, of_agent(R"(,"agent":"a2")"), 400, "invalid_request", "question_malformed");
  expect_refused(server, of_agent(R"(,"chain":["a2","a1"])"), 400, "invalid_request", "question_malformed");
  // What a guard asks about software that acts for itself.
  for (const char* context : {R"({"chain":[],"scopes":[]})", R"({"agent":"a2","chain":[{"sub":"a2"}]})"}) {
    expect_answer(
        ask(R"({"subject":{"type":"ai_agent","id":"a1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"},"context":)" +
            std::string(context) + "}"),
        false, "person_unknown");
  }
  // The same name, and not the same agent.
  expect_answer(
      ask(question("a1", "u1", "r1.read", kR1, R"(,"chain":[{"sub":"a1","iss":"https://evil.example"}])")),
      false, "agent_unknown");
  expect_answer(ask(question("https://evil.example#a1", "u1", "r1.read", kR1,
                             R"(,"chain":[{"sub":"a1","iss":"https://evil.example"}])")),
                false, "agent_unknown");
  expect_answer(
      ask(question("a1", "u1", "r1.read", kR1, R"(,"chain":[{"sub":"a1","iss":"https://as.example"}])")),
      true, "consent");
  const Reply batch = ask_all(
      R"({"subject":{"type":"user","id":"u1"},"action":{"name":"r1.read"},"resource":{"type":"api","id":"https://api.example/r1"},"context":{"agent":"a1"},"evaluations":[{},{"context":{"agent":"a1","client":7}}]})");
  ASSERT_EQ(batch.status, 200) << batch.body;
  const json::Value::Array& answers = *batch.json.find("evaluations")->array();
  EXPECT_TRUE(decision(answers[0]));
  EXPECT_FALSE(decision(answers[1]));
}

TEST_F(Authzen, members_that_are_unknown_are_ignored) {
  server.flow("ca", "a1", "r1.read");
  EXPECT_TRUE(decision(
      ask(R"({"new":{"x":[1]},"subject":{"type":"user","id":"u1","properties":{"a":1}},"action":{"name":"r1.read","properties":null},"resource":{"type":"api","id":"https://api.example/r1","z":0},"context":{"agent":"a1","ip":"::1"}})")
          .json));
}

TEST_F(Authzen, AZ10_a_batch_keeps_its_order_its_defaults_and_its_semantics) {
  server.flow("ca", "a1", "r1.read");
  const auto batch = [&](const std::string& semantic) {
    return R"({"subject":{"type":"user","id":"u1"},"resource":{"type":"api","id":"https://api.example/r1"},"context":{"agent":"a1"},"evaluations":[
        {"action":{"name":"r1.read"}},{"action":{"name":"r1.write"}},{"subject":{"type":"user","id":"u2"},"action":{"name":"r1.read"}},{},7,
        {"action":{"name":"r1.read"}}],"options":{"evaluations_semantic":")" +
           semantic + R"("}})";
  };
  const auto answers = [&](const std::string& semantic) {
    const Reply reply = ask_all(batch(semantic));
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::string text;
    for (const json::Value& one : *reply.json.find("evaluations")->array()) text += decision(one) ? "y" : "n";
    return text;
  };
  const size_t before = server.audit().size();
  EXPECT_EQ(answers("execute_all"), "ynnnny");
  EXPECT_EQ(server.audit().size(), before + 7);  // one each, and one for the call
  EXPECT_EQ(text_at(server.last_audit(), "event"), "access.evaluations");
  EXPECT_EQ(answers("deny_on_first_deny"), "yn");
  EXPECT_EQ(answers("permit_on_first_permit"), "y");
  const Reply reply = ask_all(batch("execute_all"));
  const auto& list = *reply.json.find("evaluations")->array();
  EXPECT_EQ(reason(list[1]), "scope_not_consented");
  EXPECT_EQ(list[3].find("context")->find("error")->find_integer("status"), 400);  // no action
  EXPECT_EQ(list[4].find("context")->find("error")->find_integer("status"), 400);
  EXPECT_TRUE(server.audit_chain_verifies());

  expect_refused(server, ask_all(batch("whatever")), 400, "invalid_request", "question_malformed");
  expect_refused(server, ask_all(R"({"evaluations":{}})"), 400, "invalid_request", "question_malformed");
  std::string many = R"({"evaluations":[{})";
  for (int i = 0; i < 100; ++i) many += ",{}";
  expect_refused(server, ask_all(many + "]}"), 400, "invalid_request", "question_malformed");
  // Without a list it is one question.
  const Reply one = ask_all(question());
  EXPECT_TRUE(decision(one.json)) << one.body;
  EXPECT_EQ(ask_all(R"({"evaluations":[]})").status, 400);
}

TEST_F(Authzen, AZ12_the_callers_number_comes_back) {
  http::Headers headers;
  headers.set("X-Request-ID", "bfe9eb29-ab87");
  EXPECT_EQ(post("/access/v1/evaluation", question(), headers).header("X-Request-ID"), "bfe9eb29-ab87");
  EXPECT_EQ(post("/access/v1/evaluations", "{", headers).header("X-Request-ID"), "bfe9eb29-ab87");
  headers.set("X-Request-ID", std::string(300, 'x'));
  EXPECT_EQ(post("/access/v1/evaluation", question(), headers).header("X-Request-ID"), "");
}

TEST_F(Authzen, AZ13_it_takes_the_scope_and_a_living_token) {
  for (const char* path : {"/access/v1/evaluation", "/access/v1/evaluations"}) {
    SCOPED_TRACE(path);
    http::Headers none;
    none.set("Authorization", "Basic eDp5");
    EXPECT_EQ(post(path, question(), none).status, 401);
    http::Headers other;
    other.set("Authorization", "Bearer " + bearer("behalf.signals"));
    const Reply refused = post(path, question(), other);
    expect_refused(server, refused, 403, "insufficient_scope", "bearer_scope");
    EXPECT_NE(refused.header("WWW-Authenticate").find("scope=\"behalf.decisions\""), std::string::npos);
  }
  server.suspend("client", "r1-server");
  expect_refused(server, ask(question()), 401, "invalid_token", "bearer_subject_inactive");
  expect_refused(server, ask_all(R"({"evaluations":[{}]})"), 401, "invalid_token", "bearer_subject_inactive");
}

TEST_F(Authzen, AZ14_the_metadata_name_this_server) {
  const Reply reply = server.get("/.well-known/authzen-configuration");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.text("policy_decision_point"), kIssuer);
  EXPECT_EQ(reply.text("access_evaluation_endpoint"), kIssuer + "/access/v1/evaluation");
  EXPECT_EQ(reply.text("access_evaluations_endpoint"), kIssuer + "/access/v1/evaluations");
}

}  // namespace
}  // namespace behalf::test
