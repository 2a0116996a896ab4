// Token exchange (RFC 8693) with nested actors: who may present what, who may act, and that nothing is ever
// gained by it.
//
// Most tests use T1, the token of u1 through ca for agent a1. On R1 its holder ca presents it; on M1 the
// middle tier m1, to which it is addressed, does.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/test_server.h"

namespace behalf::test {
namespace {

const std::string kTokenTypes = "urn:ietf:params:oauth:token-type:";

struct Row {
  std::string name;
  Fields change;
  std::string error;
  std::string reason;
};

// Each row changes one thing of a good exchange; the good one still works at the end.
void expect_each_refused(TestServer& server, const std::string& client, const std::string& subject,
                         const std::string& actor, const std::vector<Row>& rows, const Fields& good = {}) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Fields change = row.change;
    for (const auto& field : good) {
      const bool is_changed = std::any_of(change.begin(), change.end(),
                                          [&](const auto& other) { return other.first == field.first; });
      if (!is_changed) change.push_back(field);
    }
    const Reply reply = server.exchange(client, subject, actor, change);
    expect_refused(server, reply, 400, row.error, row.reason, {subject});
  }
  const Reply honest = server.exchange(client, subject, actor, good);
  EXPECT_EQ(honest.status, 200) << honest.body;
}

std::string r1_token(TestServer& server, const std::string& scope = "r1.read r1.write") {
  return server.flow("ca", "a1", scope).text("access_token");
}

int64_t exp_of(const std::string& token) { return claims_of(token).find_integer("exp").value_or(0); }

TEST(Rfc8693, S2_1_shape_of_the_request_is_checked) {  // J-05, J-37, J-38, J-39, 127, 129
  TestServer server;
  const std::string bad = "invalid_request";
  expect_each_refused(
      server, "ca", r1_token(server), "a2",
      {{"no subject_token", {{"subject_token", kLeaveOut}}, bad, "subject_token_missing"},
       {"empty subject_token", {{"subject_token", ""}}, bad, "subject_token_missing"},
       {"no subject_token_type", {{"subject_token_type", kLeaveOut}}, bad, "subject_token_type_missing"},
       {"actor_token without type", {{"actor_token_type", kLeaveOut}}, bad, "actor_token_type"},
       {"type without actor_token", {{"actor_token", kLeaveOut}}, bad, "actor_token_type"},
       {"subject called an ID token",
        {{"subject_token_type", kTokenTypes + "id_token"}},
        bad,
        "subject_token_type_unsupported"},
       {"subject called a refresh token",
        {{"subject_token_type", kTokenTypes + "refresh_token"}},
        bad,
        "subject_token_type_unsupported"},
       {"subject called SAML",
        {{"subject_token_type", kTokenTypes + "saml2"}},
        bad,
        "subject_token_type_unsupported"},
       {"subject of no known type", {{"subject_token_type", "token"}}, bad, "subject_token_type_unsupported"},
       {"SAML wanted",
        {{"requested_token_type", kTokenTypes + "saml2"}},
        bad,
        "requested_token_type_unsupported"},
       {"refresh token wanted",
        {{"requested_token_type", kTokenTypes + "refresh_token"}},
        bad,
        "requested_token_type_unsupported"},
       {"ID token wanted",
        {{"requested_token_type", kTokenTypes + "id_token"}},
        bad,
        "requested_token_type_unsupported"},
       {"something wanted", {{"requested_token_type", "x"}}, bad, "requested_token_type_unsupported"},
       {"actor called an ID token",
        {{"actor_token_type", kTokenTypes + "id_token"}},
        bad,
        "actor_token_type_unsupported"},
       {"assertion called an access token",
        {{"actor_token_type", kAccessTokenType}},
        bad,
        "actor_token_type_contradicts_token"}});
}

TEST(Rfc8693, S2_1_an_unknown_parameter_changes_nothing) {  // 142: identity does not come from parameters
  TestServer server;
  const std::string t1 = r1_token(server);
  const Reply reply = server.exchange("ca", t1, "a2",
                                      {{"acr", "gold"},
                                       {"auth_time", "1"},
                                       {"amr", "hwk"},
                                       {"sub", "u2"},
                                       {"act", R"({"sub":"a6"})"},
                                       {"grant_id", "x"},
                                       {"client_profile", "user"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::Value before = claims_of(t1);
  const json::Value after = claims_of(reply.text("access_token"));
  for (const char* name : {"sub", "acr", "auth_time", "amr", "grant_id", "sub_profile", "iss"}) {
    const json::Value* was = before.find(name);
    const json::Value* is = after.find(name);
    ASSERT_EQ(was == nullptr, is == nullptr) << name;
    if (was != nullptr) {
      EXPECT_EQ(*was, *is) << name;
    }
  }
  EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
}

TEST(Rfc8693, S2_2_1_the_answer_says_what_was_issued) {  // J-01, J-02
  TestServer server;
  const Reply reply =
      server.exchange("m1", m1_token(server), "a2", {{"resource", kR2}, {"scope", "r2.read"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.text("issued_token_type"), kAccessTokenType);
  EXPECT_EQ(reply.text("token_type"), "Bearer");
  EXPECT_EQ(reply.text("scope"), "r2.read");
  EXPECT_EQ(reply.json.find("refresh_token"), nullptr);
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_EQ(reply.header("Pragma"), "no-cache");
  const json::Value claims = claims_of(reply.text("access_token"));
  EXPECT_EQ(text_at(claims, "sub"), "u1");
  EXPECT_EQ(text_at(claims, "client_id"), "m1");
  EXPECT_EQ(text_at(claims, "aud"), kR2);
  EXPECT_EQ(text_at(claims, "scope"), "r2.read");
  EXPECT_EQ(reply.json.find_integer("expires_in"), *claims.find_integer("exp") - *claims.find_integer("iat"));
}

TEST(Rfc8693, S4_1_newest_actor_outermost_and_inner_hops_unchanged) {  // J-01, J-03, J-26, D-69, 117
  TestServer server;
  std::string token = r1_token(server);
  std::vector<std::string> chain{"a1"};
  for (const std::string next : {"a4", "a5", "a6"}) {
    const Reply reply = server.exchange("ca", token, next);
    ASSERT_EQ(reply.status, 200) << next << reply.body;
    const json::Value inner = *claims_of(token).find("act");
    token = reply.text("access_token");
    chain.insert(chain.begin(), next);
    EXPECT_EQ(chain_of(token), chain);
    const json::Value outer = *claims_of(token).find("act");
    EXPECT_EQ(text_at(outer, "sub"), next);
    EXPECT_EQ(text_at(outer, "iss"), kIssuer);
    EXPECT_EQ(text_at(outer, "sub_profile"), "ai_agent");
    EXPECT_EQ(outer.object()->size(), 4u) << json::write(outer);  // and act; no exp, aud, cnf (D-26)
    ASSERT_NE(outer.find("act"), nullptr);
    EXPECT_EQ(*outer.find("act"), inner);
  }
  ASSERT_EQ(chain.size(), 4u);
  const Reply fifth = server.exchange("ca", token, "a2");
  expect_refused(server, fifth, 400, "invalid_request", "chain_too_deep");
  EXPECT_TRUE(server.is_active("r1-server", token));
}

TEST(Rfc8693, S4_1_an_actor_does_not_come_back_unless_its_entry_says_so) {  // D-67, D-68, J-27
  TestServer server;
  const std::string t1 = r1_token(server);
  const Reply same = server.exchange("ca", t1, "a1");
  ASSERT_EQ(same.status, 200) << same.body;
  EXPECT_EQ(chain_of(same.text("access_token")), (std::vector<std::string>{"a1"}));
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  expect_refused(server, server.exchange("ca", t2, "a1"), 400, "invalid_request", "chain_loop");
  server.change("agents", "a1", "reenter_after", json_of(R"(["a2"])"));
  const Reply back = server.exchange("ca", t2, "a1");
  ASSERT_EQ(back.status, 200) << back.body;
  EXPECT_EQ(chain_of(back.text("access_token")), (std::vector<std::string>{"a1", "a2", "a1"}));
}

TEST(Rfc8693, S5_only_the_holder_and_the_audience_may_present_a_token) {  // D-61, J-06, J-09, J-10, J-11, 133
  TestServer server;
  const std::string t1 = m1_token(server);
  const std::string bad = "invalid_request";
  const auto refused = [&](const std::string& client, const std::string& token, const std::string& reason) {
    SCOPED_TRACE(client + " " + reason);
    expect_refused(server, server.exchange(client, token, "a2"), 400, bad, reason, {token});
  };
  refused("cb", t1, "subject_not_for_this_client");
  refused("r2-server", t1, "subject_not_for_this_client");
  refused("cb", server.flow("ca", "a1", "r1.read").text("access_token"), "subject_not_for_this_client");
  refused("ca", server.flow("cb", "a1", "r1.read").text("access_token"), "subject_not_for_this_client");
  expect_refused(server, server.exchange("cp", t1, "a2"), 400, "unauthorized_client", "public_client");
  expect_refused(server, server.exchange("a1-runtime", t1, "a2"), 400, "unauthorized_client",
                 "grant_type_not_registered");

  std::string tampered = t1;
  tampered[tampered.size() - 20] = tampered[tampered.size() - 20] == 'A' ? 'B' : 'A';
  expect_refused(server, server.exchange("m1", tampered, "a2", {{"resource", kR2}}), 400, bad);
  json::Value claims = claims_of(t1);
  expect_refused(server, server.exchange("m1", server.sign("stranger", "at+jwt", claims), "a2"), 400, bad);
  claims.set("iss", "https://evil.example");
  expect_refused(server, server.exchange("m1", server.sign("a1", "at+jwt", claims), "a2"), 400, bad);
  expect_refused(server, server.exchange("m1", "garbage", "a2"), 400, bad);
  expect_refused(server, server.exchange("m1", t1 + "." + t1, "a2"), 400, bad);
  expect_refused(server, server.exchange("a1-runtime", t1, "a2"), 400, "unauthorized_client");
  // An actor token proves an agent and is nothing to pass on.
  expect_refused(server, server.exchange("m1", server.issued_actor_token("a1"), "a2"), 400, bad,
                 "subject_is_actor_token");
  expect_refused(server, server.exchange("m1", server.assertion("a1"), "a2"), 400, bad);

  EXPECT_EQ(server.exchange("m1", t1, "a2", {{"resource", kR2}}).status, 200);
  EXPECT_EQ(server.exchange("ca", t1, "a2").status, 200);
  EXPECT_EQ(server.as("ca", "/revoke", {{"token", t1}}).status, 200);
  refused("m1", t1, "subject_ended");
  refused("ca", t1, "subject_ended");
  const std::string t2 = m1_token(server);
  server.clock.advance(Seconds{301});
  refused("m1", t2, "subject_expired");
}

TEST(Rfc8693, S2_1_the_actor_token_must_prove_one_of_our_agents) {  // J-07, D-04, D-05, D-09, D-70
  TestServer server;
  const std::string t1 = r1_token(server);
  const std::string api_token =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
          .text("access_token");
  ASSERT_NE(api_token, "");
  const std::string used = server.assertion("a2");
  ASSERT_EQ(server.exchange("ca", t1, "a2", {{"actor_token", used}}).status, 200);
  const int64_t now = server.clock.now().seconds();
  const auto numbers = [](const char* name, int64_t value) {
    json::Value out;
    out.set(name, value);
    return out;
  };
  const auto jwt = [](const std::string& token) { return Fields{{"actor_token", token}}; };
  const auto issued = [](const std::string& token) {
    return Fields{{"actor_token", token}, {"actor_token_type", kAccessTokenType}};
  };
  json::Value stolen = claims_of(server.assertion("a2"));
  stolen.set("jti", "another-one");
  json::Value long_life = numbers("exp", now + 301);
  json::Value old = numbers("exp", now - 61);
  old.set("iat", now - 120);
  const std::string bad = "invalid_request";
  expect_each_refused(
      server, "ca", t1, "a2",
      {{"replayed", jwt(used), bad, "actor_token_replayed"},
       {"expired", jwt(server.assertion("a2", old)), bad, ""},
       {"lives too long", jwt(server.assertion("a2", long_life)), bad, ""},
       {"for an API", jwt(server.assertion("a2", json_of(R"({"aud":"https://api.example/r1"})"))), bad, ""},
       {"for two",
        jwt(server.assertion("a2", json_of(R"({"aud":["https://as.example","https://api.example/r1"]})"))),
        bad, ""},
       {"for nobody", jwt(server.assertion("a2", json_of(R"({"aud":null})"))), bad, ""},
       {"without exp", jwt(server.assertion("a2", json_of(R"({"exp":null})"))), bad, ""},
       {"without jti", jwt(server.assertion("a2", json_of(R"({"jti":null})"))), bad, ""},
       {"carries act", jwt(server.assertion("a2", json_of(R"({"act":{"sub":"a1"}})"))), bad,
        "actor_token_carries_act"},
       {"iss is not sub", jwt(server.assertion("a2", json_of(R"({"iss":"a1"})"))), bad, "actor_token_issuer"},
       {"signed by another agent", jwt(server.sign("a4", "JWT", stolen)), bad, ""},
       {"unknown agent", jwt(server.assertion("stranger")), bad, "actor_token_unknown_agent"},
       {"suspended agent", jwt(server.assertion("a3")), bad, "actor_inactive"},
       {"made for another client", jwt(server.assertion("a2", json_of(R"({"client_id":"cb"})"))), bad,
        "actor_token_for_other_client"},
       {"made for a code", jwt(server.assertion("a2", json_of(R"({"c_hash":"AAAAAAAAAAAAAAAAAAAAAA"})"))),
        bad, "actor_token_for_other_code"},
       {"wrong typ", jwt(server.assertion("a2", {}, "dpop+jwt")), bad, ""},
       {"an agent's API token", issued(api_token), bad, "actor_token_audience"},
       {"a delegated token", issued(t1), bad, "actor_token_audience"},
       {"garbage", jwt("a.b.c"), bad, "actor_token_malformed"}});
  const Reply with_issued = server.exchange("ca", t1, {}, issued(server.issued_actor_token("a2")));
  EXPECT_EQ(with_issued.status, 200) << with_issued.body;
  EXPECT_EQ(chain_of(with_issued.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
}

TEST(Rfc8693, S1_1_leaving_out_the_actor_never_cleans_a_token) {  // D-66, D-72, J-29, J-30, J-31, 115, 116
  TestServer server;
  const std::string t1 = m1_token(server);
  expect_refused(server, server.exchange("m1", t1, "", {{"resource", kR2}}), 400, "invalid_request",
                 "no_actor");
  expect_refused(server, server.exchange("m1", t1, "", {{"requested_token_type", kAccessTokenType}}), 400,
                 "invalid_request", "no_actor");

  const std::string wide = r1_token(server);
  const Reply narrowed = server.exchange("ca", wide, "", {{"scope", "r1.read"}});
  ASSERT_EQ(narrowed.status, 200) << narrowed.body;
  EXPECT_EQ(narrowed.text("scope"), "r1.read");
  EXPECT_EQ(*claims_of(narrowed.text("access_token")).find("act"), *claims_of(wide).find("act"));
  EXPECT_EQ(text_at(claims_of(narrowed.text("access_token")), "grant_id"),
            text_at(claims_of(wide), "grant_id"));
  expect_refused(server, server.exchange("ca", narrowed.text("access_token"), "", {{"scope", "r1.write"}}),
                 400, "invalid_scope", "scope_widening");

  // A resource that is registered to act as a service is the outermost actor under its own name.
  const Reply service = server.exchange("r1-server", wide, "", {{"scope", "r1.read"}});
  ASSERT_EQ(service.status, 200) << service.body;
  EXPECT_EQ(chain_of(service.text("access_token")), (std::vector<std::string>{"r1-server", "a1"}));
  EXPECT_EQ(text_at(*claims_of(service.text("access_token")).find("act"), "sub_profile"), "service");
  EXPECT_EQ(text_at(claims_of(service.text("access_token")), "sub"), "u1");
}

TEST(Rfc8693, S2_1_scope_only_narrows) {  // D-65, J-17, J-18, J-19, 122, 139
  TestServer server;
  const std::string bad = "invalid_scope";
  expect_each_refused(server, "ca", r1_token(server, "r1.read"), "a2",
                      {{"outside the token", {{"scope", "r1.write"}}, bad, "scope_widening"},
                       {"superset", {{"scope", "r1.read r1.write"}}, bad, "scope_widening"},
                       {"known elsewhere", {{"scope", "r2.read"}}, bad, "scope_widening"},
                       {"openid", {{"scope", "r1.read openid"}}, bad, "scope_widening"},
                       {"nothing", {{"scope", ""}}, bad, "scope_malformed"},
                       {"offline_access", {{"scope", "offline_access"}}, bad, "scope_widening"},
                       {"other case", {{"scope", "R1.read"}}, bad, "scope_widening"},
                       {"no-break space", {{"scope", "r1.read\xC2\xA0r1.read"}}, bad, ""},
                       {"tab", {{"scope", "r1.read\tr1.read"}}, bad, ""},
                       {"only a space", {{"scope", " "}}, bad, ""},
                       {"quotes", {{"scope", "\"r1.read\""}}, bad, ""},
                       {"wildcard", {{"scope", "*"}}, bad, "scope_widening"}},
                      {{"scope", "r1.read"}});
  const std::string wide = r1_token(server);
  expect_refused(server, server.exchange("ca", wide, "a2", {{"scope", "r1.write"}}), 400, bad,
                 "scope_ceiling");
  const Reply rest = server.exchange("ca", wide, "a2");
  ASSERT_EQ(rest.status, 200);
  EXPECT_EQ(rest.text("scope"), "r1.read");
  EXPECT_EQ(text_at(claims_of(rest.text("access_token")), "scope"), "r1.read");
  expect_refused(server, server.exchange("ca", r1_token(server, "r1.write"), "a2"), 400, bad, "scope_empty");

  // Every ceiling is that of now: taken from the agent that passed on, it is gone from what comes after.
  server.change("agents", "a1", "scopes", json_of(R"(["r1.write"])"));
  expect_refused(server, server.exchange("ca", wide, "a2", {{"scope", "r1.read"}}), 400, bad,
                 "scope_widening");
}

TEST(Rfc8693, S2_1_scope_of_another_place_comes_only_through_the_table) {  // D-65
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "m1.use", kM1).text("access_token");
  const Reply mapped = server.exchange("m1", t1, "a2", {{"resource", kR2}, {"scope", "r2.read"}});
  EXPECT_EQ(mapped.status, 200) << mapped.body;
  expect_refused(server, server.exchange("ca", t1, "a2", {{"scope", "r2.read"}}), 400, "invalid_scope",
                 "scope_widening");
  expect_refused(server, server.exchange("m1", t1, "a2", {{"resource", kR1}, {"scope", "r1.read"}}), 400,
                 "invalid_scope", "scope_widening");
}

TEST(Rfc8693, S2_2_2_the_audience_only_narrows) {  // D-38, D-76, J-13, J-14, J-15, 124, 125
  TestServer server;
  const std::string bad = "invalid_target";
  Fields many;
  for (int i = 0; i < 20; ++i) many.emplace_back("audience", "https://api.example/n" + std::to_string(i));
  const std::string t1 = server.flow("ca", "a1", "r1.read r2.read").text("access_token");
  expect_each_refused(
      server, "ca", t1, "a2",
      {{"holder elsewhere", {{"resource", kR2}, {"audience", kR2}}, bad, "target_widening"},
       {"holder elsewhere by audience", {{"audience", kR2}, {"resource", ""}}, bad, "target_widening"},
       {"unknown", {{"resource", "https://api.example/unknown"}}, bad, "target_unknown"},
       {"unknown name", {{"audience", "nobody"}}, bad, "target_unknown"},
       {"relative", {{"resource", "/r1"}}, bad, "target_malformed"},
       {"with fragment", {{"resource", kR1 + "#x"}}, bad, "target_malformed"},
       {"other case", {{"resource", "https://api.example/R1"}}, bad, "target_unknown"},
       {"two", {{"resource", kR1}, {"audience", kR2}}, bad, "several_targets"},
       {"good and bad", {{"resource", kR1}, {"audience", "nobody"}}, bad, "target_unknown"},
       {"twenty", many, bad, "target_unknown"}},
      {{"resource", kR1}, {"audience", kR1}});
  expect_refused(server, server.exchange("ca", t1, "", {{"resource", kR2}}), 400, bad, "target_widening");
  server.change("agents", "a2", "resources", json_of(R"(["https://api.example/r1"])"));
  const std::string t2 = m1_token(server);
  expect_refused(server, server.exchange("m1", t2, "a2", {{"resource", kR2}}), 400, bad,
                 "agent_not_for_this_resource");
}

TEST(Rfc8693, S2_2_1_nothing_outlives_what_it_came_from) {  // D-64, J-21, J-22, 145
  TestServer server;
  const std::string t1 = m1_token(server);
  const Reply early = server.exchange("m1", t1, "a2", {{"resource", kR2}});
  EXPECT_LE(exp_of(early.text("access_token")), exp_of(t1));
  server.clock.advance(Seconds{295});
  const Reply late = server.exchange("m1", t1, "a2", {{"resource", kR2}});
  ASSERT_EQ(late.status, 200) << late.body;
  EXPECT_EQ(late.json.find_integer("expires_in"), 5);
  EXPECT_EQ(exp_of(late.text("access_token")), exp_of(t1));
  const Reply narrowed = server.exchange("ca", t1, "");
  EXPECT_EQ(exp_of(narrowed.text("access_token")), exp_of(t1));
  const Reply obo = server.on_behalf_of("m1", t1, kR2 + "/r2.read");
  ASSERT_EQ(obo.status, 200) << obo.body;
  EXPECT_EQ(exp_of(obo.text("access_token")), exp_of(t1));
  server.clock.advance(Seconds{4});
  const Reply last = server.exchange("m1", t1, "a2", {{"resource", kR2}});
  ASSERT_EQ(last.status, 200) << last.body;
  EXPECT_EQ(last.json.find_integer("expires_in"), 1);
  server.clock.advance(Seconds{1});
  expect_refused(server, server.exchange("m1", t1, "a2", {{"resource", kR2}}), 400, "invalid_request",
                 "subject_expired");
  EXPECT_FALSE(server.is_active("r2-server", last.text("access_token")));
}

TEST(Rfc8693, S2_1_what_was_taken_from_the_holder_is_not_passed_on) {  // D-65, 214
  TestServer server;
  const auto list = [](std::initializer_list<const char*> items) {
    json::Value::Array array;
    for (const char* item : items) array.emplace_back(item);
    return array;
  };
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string two = server.flow("ca", "a1", "r1.read r1.write").text("access_token");
  server.change("clients", "ca", "scopes", list({"r1.read"}));
  expect_refused(server, server.exchange("m1", t1, "a2", {{"resource", kR2}}), 400, "invalid_request",
                 "subject_scope_withdrawn");
  expect_refused(server, server.on_behalf_of("m1", t1, kR2 + "/r2.read"), 400, "invalid_grant",
                 "subject_scope_withdrawn");
  // What is left may still be passed on.
  EXPECT_EQ(server.exchange("r1-server", two, "a2").text("scope"), "r1.read");
  expect_refused(server, server.exchange("r1-server", two, "a2", {{"scope", "r1.read r1.write"}}), 400,
                 "invalid_scope");
  server.change("clients", "ca", "scopes", list({"r1.read", "r1.write", "m1.use", "r2.read"}));
  EXPECT_EQ(server.exchange("m1", t1, "a2", {{"resource", kR2}}).status, 200)
      << "what is given back is there again";
}

TEST(Rfc8693, S4_4_every_member_of_may_act_must_be_true_of_the_actor) {  // D-73, J-33, J-34, J-35, 120
  TestServer server;
  const std::string bad = "invalid_request";
  const auto token_with = [&](const char* may_act) {
    server.change("clients", "ca", "may_act", json_of(may_act));
    return r1_token(server);
  };
  const std::string t1 = token_with(R"({"sub":"a2"})");
  EXPECT_EQ(*claims_of(t1).find("may_act"), json_of(R"({"sub":"a2"})"));
  expect_refused(server, server.exchange("ca", t1, "a4"), 400, bad, "may_act_mismatch");
  expect_refused(server, server.exchange("ca", t1, "a1"), 400, bad, "may_act_mismatch");
  expect_refused(server, server.exchange("r1-server", t1, ""), 400, bad, "may_act_mismatch");
  const Reply named = server.exchange("ca", t1, "a2");
  ASSERT_EQ(named.status, 200) << named.body;
  EXPECT_EQ(claims_of(named.text("access_token")).find("may_act"), nullptr);

  // The holder's own narrowing brings no actor and does not take the restriction off.
  const std::string narrowed = server.exchange("ca", t1, "", {{"scope", "r1.read"}}).text("access_token");
  ASSERT_NE(narrowed, "");
  expect_refused(server, server.exchange("ca", narrowed, "a4"), 400, bad, "may_act_mismatch");
  EXPECT_EQ(server.exchange("ca", narrowed, "a2").status, 200);

  for (const char* may_act :
       {R"({"sub":"a2","iss":"https://other.example"})", R"({"sub":"a2","email":"a2@example.com"})",
        R"({"sub":"a2","sub_profile":"service"})", R"({"sub":["a2"]})", R"({"iss":"https://as.example"})",
        R"({})"}) {
    SCOPED_TRACE(may_act);
    expect_refused(server, server.exchange("ca", token_with(may_act), "a2"), 400, bad, "may_act_mismatch");
  }
  const std::string full = token_with(R"({"sub":"a2","iss":"https://as.example","sub_profile":"ai_agent"})");
  EXPECT_EQ(server.exchange("ca", full, "a2").status, 200);
}

TEST(Rfc8693,
     S2_1_an_agent_passes_on_only_to_whom_its_entry_says_and_only_that_far) {  // D-23, D-73, J-47, 112
  TestServer server;
  const std::string bad = "invalid_request";
  const std::string t1 = r1_token(server);
  expect_refused(server, server.exchange("ca", t1, "a5"), 400, bad, "onward_forbidden");
  expect_refused(server, server.exchange("ca", t1, "a6"), 400, bad, "onward_forbidden");
  EXPECT_EQ(server.exchange("ca", t1, "a2").status, 200);

  server.change("agents", "a1", "onward", json_of(R"({"to":["a2","a4"],"depth":1,"lifetime":"45s"})"));
  const std::string once = r1_token(server);
  const Reply child = server.exchange("ca", once, "a2");
  ASSERT_EQ(child.status, 200) << child.body;
  EXPECT_EQ(child.json.find_integer("expires_in"), 45);
  expect_refused(server, server.exchange("ca", child.text("access_token"), "a4"), 400, bad,
                 "onward_depth_used_up");

  server.change("agents", "a1", "onward", json_of(R"({"to":["a2"],"depth":0})"));
  expect_refused(server, server.exchange("ca", r1_token(server), "a2"), 400, bad, "onward_depth_used_up");
  // Nobody is named: the older token stops being passed on as well.
  server.change("agents", "a1", "onward", {});
  expect_refused(server, server.exchange("ca", t1, "a2"), 400, bad, "onward_forbidden");
}

TEST(Rfc8693, S2_1_a_person_who_did_not_allow_passing_on_is_obeyed) {  // J-47
  TestServer server;
  Decision decision;
  decision.onward = false;
  const std::string t1 = server.flow("ca", "a1", "m1.use r2.read", kM1, decision).text("access_token");
  expect_refused(server, server.exchange("m1", t1, "a2", {{"resource", kR2}}), 400, "invalid_request",
                 "onward_depth_used_up");
  expect_refused(server, server.exchange("ca", t1, "a2"), 400, "invalid_request", "onward_depth_used_up");
  expect_refused(server, server.on_behalf_of("m1", t1, kR2 + "/r2.read"), 400, "invalid_request",
                 "onward_depth_used_up");
  EXPECT_EQ(server.exchange("ca", t1, "").status, 200);
}

TEST(Rfc8693, S5_subject_and_actor_of_different_delegations_do_not_combine) {  // J-53, D-73
  TestServer server;
  const std::string plain = server.flow("cb", "", "r1.read").text("access_token");
  ASSERT_NE(plain, "");
  EXPECT_EQ(claims_of(plain).find("act"), nullptr);
  expect_refused(server, server.exchange("cb", plain, "a2"), 400, "invalid_request",
                 "no_basis_for_this_actor");
  expect_refused(server, server.exchange("cb", plain, "a1"), 400, "invalid_request",
                 "no_basis_for_this_actor");
  server.change("clients", "cb", "introduces", json_of(R"(["a2"])"));
  const Reply introduced = server.exchange("cb", plain, "a2");
  ASSERT_EQ(introduced.status, 200) << introduced.body;
  EXPECT_EQ(chain_of(introduced.text("access_token")), (std::vector<std::string>{"a2"}));
  expect_refused(server, server.exchange("cb", plain, "a1"), 400, "invalid_request",
                 "no_basis_for_this_actor");
}

TEST(Rfc8693, S2_1_an_agent_that_acts_alone_passes_on_under_its_own_name) {  // J-43
  TestServer server;
  const std::string own =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kM1}, {"scope", "m1.use r2.read"}})
          .text("access_token");
  ASSERT_NE(own, "");
  const Reply reply = server.exchange("m1", own, "a2", {{"resource", kR2}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "sub"), "a1");
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "sub_profile"), "ai_agent");
  EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"a2"}));
  expect_refused(server, server.exchange("m1", own, "a5", {{"resource", kR2}}), 400, "invalid_request",
                 "onward_forbidden");
}

TEST(Rfc8693, S2_1_the_agents_own_lists_are_asked_again_at_every_exchange) {  // D-23
  TestServer server;
  const std::string t1 = r1_token(server);
  ASSERT_EQ(server.exchange("ca", t1, "").status, 200);
  server.change("agents", "a2", "users", json_of(R"(["u2"])"));
  expect_refused(server, server.exchange("ca", t1, "a2"), 400, "invalid_request", "agent_not_for_this_user");
  server.change("agents", "a2", "users", json_of(R"(["*"])"));
  server.change("agents", "a2", "clients", json_of(R"(["m1"])"));
  expect_refused(server, server.exchange("ca", t1, "a2"), 400, "invalid_request",
                 "agent_not_for_this_client");
  // The agent that acts already is asked too when its holder narrows.
  server.change("agents", "a1", "users", json_of(R"(["u2"])"));
  expect_refused(server, server.exchange("ca", t1, ""), 400, "invalid_request", "agent_not_for_this_user");
  server.change("agents", "a1", "users", json_of(R"(["u1"])"));
  server.change("agents", "a1", "clients", json_of(R"(["cb"])"));
  expect_refused(server, server.exchange("ca", t1, ""), 400, "invalid_request", "agent_not_for_this_client");
  server.change("agents", "a1", "clients", json_of(R"(["ca"])"));
  EXPECT_EQ(server.exchange("ca", t1, "").status, 200);
}

}  // namespace
}  // namespace behalf::test
