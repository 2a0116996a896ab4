// POST /evidence: what a resource server let through or refused, in the one log: checked against the ledger
// where the token is ours, taken once, all or nothing, and only from the resource itself.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

struct Evidence : testing::Test {
  TestServer server;
  std::string token;
  Evidence() {
    for (const char* id : {"r1-server", "r2-server"}) {
      server.change("clients", id, "grant_types", list({kExchange, kJwtBearer, "client_credentials"}));
      server.change("clients", id, "scopes", list({"r1.read", "r2.read", "behalf.evidence"}));
    }
    server.change("clients", "ca", "scopes",
                  list({"r1.read", "r1.write", "r2.read", "m1.use", "behalf.evidence"}));
    token = bearer("r1-server");
  }
  std::string bearer(const std::string& client) {
    return server
        .token(client,
               {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"scope", "behalf.evidence"}})
        .text("access_token");
  }
  Reply post(const std::string& body, const std::string& bearer_token,
             const std::string& type = "application/json") {
    http::ClientRequest request{.method = "POST", .path_and_query = "/evidence", .headers = {}, .body = body};
    request.headers.set("Content-Type", type);
    if (!bearer_token.empty()) request.headers.set("Authorization", "Bearer " + bearer_token);
    return server.send(request);
  }
  Reply report(const json::Value::Array& records) {
    json::Value body;
    body.set("records", records);
    return post(json::write(body), token);
  }
  json::Value a_record(const std::string& id, const json::Value& changes = {}) {
    json::Value record = json_of(
        R"({"verdict":"allowed","resource":"https://api.example/r1","action":{"method":"GET","path":"/mail/1"},"rule":"read"})");
    record.set("id", id);
    record.set("time", server.clock.now().milliseconds);
    if (changes.object() != nullptr) {
      for (const json::Member& change : *changes.object()) {
        if (change.value.is_null())
          record.remove(change.name);
        else
          record.set(change.name, change.value);
      }
    }
    return record;
  }
  // What a verifier sees of a token.
  json::Value seen(const std::string& access_token) {
    const json::Value claims = claims_of(access_token);
    json::Value out;
    out.set("person", text_at(claims, "sub"));
    out.set("client", text_at(claims, "client_id"));
    out.set("grant", text_at(claims, "grant_id"));
    out.set("token_id", text_at(claims, "jti"));
    json::Value::Array chain;
    for (const std::string& hop : chain_of(access_token)) chain.emplace_back(hop);
    out.set("chain", std::move(chain));
    return out;
  }
  std::vector<json::Value> accesses() {
    std::vector<json::Value> found;
    for (json::Value& record : server.audit()) {
      if (text_at(record, "event").starts_with("resource.")) found.push_back(std::move(record));
    }
    return found;
  }
  static std::string detail(const json::Value& record, std::string_view member) {
    const json::Value* value =
        record.find("details") == nullptr ? nullptr : record.find("details")->find(member);
    return value == nullptr ? std::string("none") : json::write(*value);
  }
};

TEST_F(Evidence, what_was_done_stands_in_the_log_beside_what_was_issued) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  json::Value said = seen(t1);
  said.set("trace", "0af7651916cd43dd8448eb211c80319c");
  said.set("policy_version", "7");
  said.set("shadow", true);
  said.set("status", 200);
  json::Value denied = seen(t1);
  denied.set("verdict", "denied");
  denied.set("reason", "insufficient_scope");
  const Reply reply = report({a_record("r-1", said), a_record("r-2", denied)});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body, R"({"accepted":2,"duplicates":0})");
  const auto records = accesses();
  ASSERT_EQ(records.size(), 2u);
  const json::Value& first = records[0];
  EXPECT_EQ(text_at(first, "event"), "resource.access");
  EXPECT_EQ(text_at(first, "outcome"), "allowed");
  EXPECT_EQ(text_at(first, "user"), "u1");
  EXPECT_EQ(text_at(first, "client"), "ca");
  EXPECT_EQ(text_at(first, "agent"), "a1");
  EXPECT_EQ(*first.find("chain"), json_of(R"(["a1"])"));
  EXPECT_EQ(text_at(first, "grant"), text_at(claims_of(t1), "grant_id"));
  EXPECT_EQ(text_at(first, "node"), text_at(claims_of(t1), "jti"));
  EXPECT_EQ(text_at(first, "resource"), kR1);
  EXPECT_EQ(text_at(first, "trace"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(detail(first, "record_id"), "\"r-1\"");
  EXPECT_EQ(detail(first, "reporter"), "\"r1-server\"");
  EXPECT_EQ(detail(first, "action"), R"({"method":"GET","path":"/mail/1"})");
  EXPECT_EQ(detail(first, "rule"), "\"read\"");
  EXPECT_EQ(detail(first, "policy_version"), "\"7\"");
  EXPECT_EQ(detail(first, "status"), "200");
  EXPECT_EQ(detail(first, "shadow"), "true");
  EXPECT_EQ(detail(first, "verified"), "true");
  EXPECT_EQ(detail(first, "disputed"), "none");
  EXPECT_EQ(text_at(records[1], "outcome"), "denied");
  EXPECT_EQ(text_at(records[1], "reason"), "insufficient_scope");
  EXPECT_EQ(text_at(server.last_audit(), "event"), "evidence.append");
  EXPECT_EQ(detail(server.last_audit(), "accepted"), "2");
  EXPECT_TRUE(server.audit_chain_verifies());
  // It belongs to the consent it rests on.
  EXPECT_NE(server.admin("GET", "/audit?grant=" + text_at(claims_of(t1), "grant_id")).body.find("r-1"),
            std::string::npos);
}

TEST_F(Evidence, each_id_is_taken_once_from_each_reporter) {
  EXPECT_EQ(report({a_record("same")}).body, R"({"accepted":1,"duplicates":0})");
  EXPECT_EQ(report({a_record("same"), a_record("other"), a_record("other")}).body,
            R"({"accepted":1,"duplicates":2})");
  EXPECT_EQ(accesses().size(), 2u);
  token = bearer("r2-server");
  EXPECT_EQ(report({a_record("same", json_of(R"({"resource":"https://api.example/r2"})"))}).body,
            R"({"accepted":1,"duplicates":0})");
  server.restart();
  EXPECT_EQ(report({a_record("same", json_of(R"({"resource":"https://api.example/r2"})"))}).body,
            R"({"accepted":0,"duplicates":1})");
  EXPECT_EQ(report({}).body, R"({"accepted":0,"duplicates":0})");
}

TEST_F(Evidence, only_the_resource_itself_speaks_about_it_and_nothing_of_the_call_counts) {
  const size_t before = accesses().size();
  const Reply other =
      report({a_record("1"), a_record("2", json_of(R"({"resource":"https://api.example/r2"})"))});
  expect_refused(server, other, 403, "access_denied", "evidence_of_other_resource");
  EXPECT_EQ(other.json.find_integer("record"), 1);
  expect_refused(server, report({a_record("1", json_of(R"({"resource":"https://api.example/none"})"))}), 403,
                 "access_denied", "evidence_of_other_resource");
  token = bearer("ca");  // is no resource
  expect_refused(server, report({a_record("1")}), 403, "access_denied", "evidence_of_other_resource");
  EXPECT_EQ(accesses().size(), before);
  token = bearer("r1-server");
  EXPECT_EQ(report({a_record("1")}).body, R"({"accepted":1,"duplicates":0})");
}

TEST_F(Evidence, a_claim_that_the_ledger_contradicts_is_disputed) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  const std::string at_r2 = server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  const std::string own_grant = text_at(claims_of(t1), "grant_id");
  const struct {
    std::string name, member;
    json::Value said;
  } rows[] = {
      {"another person", "person", "u2"},
      {"another client", "client", "cb"},
      {"another consent", "grant", "01aaaaaaaaaaaaaaaaaaaaaaaa"},
      {"another chain", "chain", list({"a1", "a2"})},
      {"a longer chain", "chain", list({"a2", "a1", "a4"})},
  };
  int id = 0;
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    json::Value said = seen(t2);
    said.set(row.member, row.said);
    ASSERT_EQ(report({a_record(std::to_string(++id), said)}).status, 200);
    const json::Value record = accesses().back();
    EXPECT_EQ(detail(record, "disputed"), "true");
    EXPECT_EQ(detail(record, "verified"), "false");
    json::Value claimed;
    claimed.set(row.member, row.said);
    EXPECT_EQ(detail(record, "claimed"), json::write(claimed));
    // What the log itself says is what was issued.
    EXPECT_EQ(text_at(record, "user"), "u1");
    EXPECT_EQ(text_at(record, "client"), "ca");
    EXPECT_EQ(text_at(record, "grant"), own_grant);
    EXPECT_EQ(*record.find("chain"), json_of(R"(["a2","a1"])"));
  }
  // A token for another API.
  ASSERT_EQ(report({a_record("x", seen(at_r2))}).status, 200);
  EXPECT_EQ(detail(accesses().back(), "claimed"), R"({"resource":"https://api.example/r1"})");
  // Saying less is no contradiction; the ledger knows the rest. The outermost alone is what some resources
  // see.
  json::Value less;
  less.set("token_id", text_at(claims_of(t2), "jti"));
  less.set("chain", list({"a2"}));
  ASSERT_EQ(report({a_record("y", less)}).status, 200);
  EXPECT_EQ(detail(accesses().back(), "verified"), "true");
  EXPECT_EQ(text_at(accesses().back(), "user"), "u1");
}

TEST_F(Evidence, without_a_token_of_ours_it_is_the_reporters_word) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  json::Value said = seen(t1);
  said.set("token_id", "someone-elses");
  ASSERT_EQ(report({a_record("1", said)}).status, 200);
  EXPECT_EQ(detail(accesses().back(), "verified"), "false");
  EXPECT_EQ(text_at(accesses().back(), "grant"), text_at(claims_of(t1), "grant_id"));
  // A consent of another person is not this record's.
  said.set("person", "u2");
  ASSERT_EQ(report({a_record("2", said)}).status, 200);
  EXPECT_EQ(text_at(accesses().back(), "grant"), "");
  EXPECT_EQ(detail(accesses().back(), "disputed"), "true");
  ASSERT_EQ(report({a_record("3", json_of(R"({"grant":"made up"})"))}).status, 200);
  EXPECT_EQ(text_at(accesses().back(), "grant"), "");
  EXPECT_EQ(detail(accesses().back(), "claimed"), R"({"grant":"made up"})");
  // Refused without any token.
  ASSERT_EQ(report({a_record("4", json_of(R"({"verdict":"denied","reason":"token_missing"})"))}).status, 200);
  EXPECT_EQ(accesses().back().find("user"), nullptr);
}

TEST_F(Evidence, a_consent_that_says_something_else_is_not_what_it_rests_on) {
  json::Value said = seen(server.flow("ca", "a1", "r1.read").text("access_token"));
  said.set("token_id", "someone-elses");
  int id = 0;
  const auto is_disputed = [&](const std::string& member, json::Value value) {
    json::Value changed = said;
    changed.set(member, std::move(value));
    EXPECT_EQ(report({a_record(std::to_string(++id), changed)}).status, 200);
    const json::Value record = accesses().back();
    const bool is = detail(record, "disputed") == "true";
    EXPECT_EQ(text_at(record, "grant").empty(), is) << "filed under what it contradicts";
    return is;
  };
  const auto chain = [](std::initializer_list<const char*> actors) {
    json::Value::Array list;
    for (const char* actor : actors) list.emplace_back(actor);
    return list;
  };
  EXPECT_FALSE(is_disputed("client", "ca"));
  EXPECT_TRUE(is_disputed("client", "m1"));
  EXPECT_TRUE(is_disputed("chain", chain({"a2"})));
  EXPECT_TRUE(is_disputed("chain", chain({"a1", "a2"})));
  EXPECT_FALSE(is_disputed("chain", chain({"a2", "a1"}))) << "a hop further";
  // Allowed for another resource than the one that reports.
  said.set("grant", text_at(seen(server.flow("ca", "a1", "r2.read", kR2).text("access_token")), "grant"));
  EXPECT_TRUE(is_disputed("client", "ca"));
}

TEST_F(Evidence, a_resource_reports_people_by_the_names_it_knows) {
  server.change("resources", kR1, "subject_type", "pairwise");
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  ASSERT_NE(text_at(claims_of(t1), "sub"), "u1");
  ASSERT_EQ(report({a_record("1", seen(t1))}).status, 200);
  EXPECT_EQ(detail(accesses().back(), "verified"), "true");
  EXPECT_EQ(text_at(accesses().back(), "user"), "u1");
  json::Value said = seen(t1);
  said.set("token_id", "not ours");
  ASSERT_EQ(report({a_record("2", said)}).status, 200);
  EXPECT_EQ(text_at(accesses().back(), "user"), "u1");
  EXPECT_EQ(text_at(accesses().back(), "grant"), text_at(claims_of(t1), "grant_id"));
}

TEST_F(Evidence, a_call_let_through_after_the_end_shows) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  server.as("ca", "/revoke", {{"token", t1}});
  server.clock.advance(Seconds{2});
  ASSERT_EQ(report({a_record("1", seen(t1))}).status, 200);
  EXPECT_EQ(detail(accesses().back(), "after_end_ms"), "2000");
}

TEST_F(Evidence, the_guards_own_lines_are_understood) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  json::Value said = json_of(
      R"({"event":"resource.cut","verdict":"deny","policy":"abc","detail":"ended","peer":"192.0.2.7","status":401,
      "action":{"method":"POST","path":"/mcp","calls":["tools/call search"],"new":1},"forbidden_members":["x"],"token_id":null})");
  said.set("jti", text_at(claims_of(t1), "jti"));
  ASSERT_EQ(report({a_record("1", said)}).status, 200);
  const json::Value record = accesses().back();
  EXPECT_EQ(text_at(record, "event"), "resource.cut");
  EXPECT_EQ(text_at(record, "outcome"), "denied");
  EXPECT_EQ(text_at(record, "user"), "u1");
  EXPECT_EQ(detail(record, "action"), R"({"method":"POST","path":"/mcp","calls":["tools/call search"]})");
  EXPECT_EQ(detail(record, "policy_version"), "\"abc\"");
  EXPECT_EQ(detail(record, "peer"), "\"192.0.2.7\"");
}

TEST_F(Evidence, what_is_malformed_is_named_and_all_of_it_refused) {
  const auto one = [&](std::string_view changes) { return a_record("z", json_of(changes)); };
  const struct {
    std::string name;
    json::Value record;
    std::string word;
  } rows[] = {
      {"no id", one(R"({"id":null})"), "id must"},
      {"an id with a space", one(R"({"id":"a b"})"), "id must"},
      {"an id too long", a_record(std::string(256, 'x')), "id must"},
      {"no time", one(R"({"time":null})"), "time must"},
      {"a time of the year 10000", one(R"({"time":253402300800000})"), "time must"},
      {"time as text", one(R"({"time":"2026-11-23T21:30:00Z"})"), "time must"},
      {"no verdict", one(R"({"verdict":null})"), "verdict must"},
      {"another verdict", one(R"({"verdict":"maybe"})"), "verdict must"},
      {"no resource", one(R"({"resource":null})"), "resource is"},
      {"a chain that is text", one(R"({"chain":"a1"})"), "chain must"},
      {"a chain of numbers", one(R"({"chain":[1]})"), "chain must"},
      {"a person that is a number", one(R"({"person":1})"), "person must"},
      {"an action that is text", one(R"({"action":"GET"})"), "action: must"},
      {"shadow as text", one(R"({"shadow":"yes"})"), "shadow must"},
      {"a trace that is none", one(R"({"trace":"xyz"})"), "trace must"},
      {"a status that is none", one(R"({"status":99})"), "status must"},
      {"another event", one(R"({"event":"consent.allow"})"), "event must"},
      {"no object", json::Value("text"), "must be an object"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const Reply reply = report({a_record("good"), row.record});
    expect_refused(server, reply, 400, "invalid_request", "evidence_malformed");
    EXPECT_EQ(reply.text("error_description").find("record 1: " + row.word), 0u) << reply.body;
    EXPECT_EQ(reply.json.find_integer("record"), 1);
  }
  const struct {
    std::string name, body, type, reason;
  } whole[] = {
      {"no list", R"({"records":{}})", "application/json", "evidence_malformed"},
      {"nothing", R"({})", "application/json", "evidence_malformed"},
      {"a list at the top", R"([])", "application/json", "malformed_json"},
      {"no JSON", R"({"records":)", "application/json", "malformed_json"},
      {"a member twice", R"({"records":[],"records":[]})", "application/json", "malformed_json"},
      {"a form", "records=1", "application/x-www-form-urlencoded", "content_type"},
      {"text", R"({"records":[]})", "text/plain", "content_type"},
  };
  for (const auto& row : whole) {
    SCOPED_TRACE(row.name);
    expect_refused(server, post(row.body, token, row.type), 400, "invalid_request", row.reason);
  }
  json::Value::Array many;
  for (int i = 0; i < 201; ++i)
    many.push_back(json_of(R"({"id":"x","time":1,"verdict":"denied","resource":"https://api.example/r1"})"));
  expect_refused(server, report(many), 400, "invalid_request", "evidence_malformed");
  EXPECT_TRUE(accesses().empty());
  many.pop_back();
  EXPECT_EQ(report(many).body, R"({"accepted":1,"duplicates":199})");
}

TEST_F(Evidence, long_texts_are_cut_and_nothing_in_them_breaks_the_log) {
  json::Value said = json_of(R"({"reason":"a\nb\u0007\"}","person":"<script>","grant":"\u202e"})");
  json::Value action;
  action.set("path", "/" + std::string(5000, 'x'));
  said.set("action", action);
  ASSERT_EQ(report({a_record("1", said)}).status, 200);
  const json::Value record = accesses().back();
  EXPECT_EQ(text_at(record, "reason"), "a\nb\x07\"}");
  EXPECT_LT(detail(record, "action").size(), 1100u);
  EXPECT_TRUE(server.audit_chain_verifies());
}

TEST_F(Evidence, it_takes_the_scope_and_a_living_token) {
  const std::string body = R"({"records":[]})";
  EXPECT_EQ(post(body, "").status, 401);
  EXPECT_EQ(text_at(server.last_audit(), "event"), "evidence.append");
  expect_refused(server, post(body, "nothing-that-was-ever-a-token"), 401, "invalid_token");
  server.change("clients", "r1-server", "scopes", list({"behalf.evidence", "behalf.signals"}));
  const std::string other =
      server
          .token("r1-server",
                 {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"scope", "behalf.signals"}})
          .text("access_token");
  expect_refused(server, post(body, other), 403, "insufficient_scope", "bearer_scope");
  EXPECT_NE(post(body, other).header("WWW-Authenticate").find("scope=\"behalf.evidence\""),
            std::string::npos);
  server.suspend("client", "r1-server");
  expect_refused(server, post(body, token), 401, "invalid_token", "bearer_subject_inactive");
  EXPECT_EQ(server.get("/evidence").status, 405);
}

}  // namespace
}  // namespace behalf::test
