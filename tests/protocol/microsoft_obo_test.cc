// Microsoft's On-Behalf-Of shape of the JWT bearer grant: the middle tier m1 calls on with the token it
// received.
//
// The answer joins the same lineage as RFC 8693 would, with m1 as the outermost actor; whatever is wrong with
// the assertion is invalid_grant.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(MicrosoftObo, the_middle_tier_joins_the_chain) {  // K-01, K-02, K-13, K-17
  TestServer server;
  const std::string tc = m1_token(server);
  const Reply reply = server.on_behalf_of("m1", tc, kR2Read + " offline_access openid");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json::Value claims = claims_of(reply.text("access_token"));
  EXPECT_EQ(text_at(claims, "sub"), "u1");
  EXPECT_EQ(text_at(claims, "aud"), kR2);
  EXPECT_EQ(text_at(claims, "client_id"), "m1");
  EXPECT_EQ(text_at(claims, "scope"), "r2.read");
  EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"m1", "a1"}));
  EXPECT_EQ(text_at(*claims.find("act"), "sub_profile"), "service");
  EXPECT_EQ(*claims.find("act")->find("act"), *claims_of(tc).find("act"));
  EXPECT_EQ(reply.text("token_type"), "Bearer");
  EXPECT_EQ(reply.json.find_integer("ext_expires_in"), reply.json.find_integer("expires_in"));
  EXPECT_EQ(reply.json.find("refresh_token"), nullptr);
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");

  const Reply again = server.on_behalf_of("m1", tc, kR2Read);
  ASSERT_EQ(again.status, 200);
  EXPECT_NE(text_at(claims_of(again.text("access_token")), "jti"), text_at(claims, "jti"));
  EXPECT_EQ(text_at(claims_of(again.text("access_token")), "grant_id"), text_at(claims, "grant_id"));
  const Reply lineage = server.admin("GET", "/lineage?grant=" + text_at(claims, "grant_id"));
  for (const std::string& jti :
       {text_at(claims, "jti"), text_at(claims_of(again.text("access_token")), "jti")}) {
    EXPECT_NE(lineage.body.find(jti), std::string::npos);
  }
}

TEST(MicrosoftObo, a_person_without_an_agent_is_passed_on_as_well) {
  TestServer server;
  const std::string tc = server.flow("ca", "", "m1.use r2.read", kM1).text("access_token");
  const Reply reply = server.on_behalf_of("m1", tc, kR2Read);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"m1"}));
}

TEST(MicrosoftObo, a_tier_calls_on_for_an_agent_that_proves_itself) {  // K-18, D-86
  TestServer server;
  const std::string tc = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string to = kR2 + "/r2.read";
  const std::string proof = server.assertion("a2");
  const Reply reply =
      server.on_behalf_of("m1", tc, to, {{"actor_token", proof}, {"actor_token_type", kJwtType}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(chain_of(reply.text("access_token")), (std::vector<std::string>{"a2", "a1"}));
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token", proof}}), 400, "invalid_grant",
                 "actor_token_replayed");
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token", "x"}}), 400, "invalid_grant");
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token", tc}}), 400, "invalid_grant");
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token_type", kJwtType}}), 400,
                 "invalid_request", "actor_token_type_without_token");
  expect_refused(
      server,
      server.on_behalf_of("m1", tc, to,
                          {{"actor_token", server.assertion("a2")}, {"actor_token_type", kAccessTokenType}}),
      400, "invalid_request");
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token", server.assertion("a3")}}), 400,
                 "invalid_grant", "actor_inactive");
  // Whom the acting agent does not pass on to may prove itself as it likes.
  expect_refused(server, server.on_behalf_of("m1", tc, to, {{"actor_token", server.assertion("a5")}}), 400,
                 "invalid_request", "onward_forbidden");
}

TEST(MicrosoftObo, whatever_is_no_assertion_for_this_tier_is_refused) {  // K-04, K-05, K-06, K-08, K-09, 135
  TestServer server;
  const std::string tc = m1_token(server);
  const std::string r1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string rt = server.flow("ca", "a1", "r1.read offline_access").text("refresh_token");
  ASSERT_NE(rt, "");
  const std::string app_only =
      server.token("ca", {{"grant_type", "client_credentials"}, {"resource", kM1}, {"scope", "m1.use"}})
          .text("access_token");
  ASSERT_NE(app_only, "");
  const std::string agent_only =
      server
          .token("a1-runtime", {{"grant_type", "client_credentials"}, {"resource", kM1}, {"scope", "m1.use"}})
          .text("access_token");
  const struct {
    std::string name, client, assertion;
    Fields change;
    std::string error, reason;
  } rows[] = {
      {"audience is R1", "m1", r1, {}, "invalid_grant", "subject_not_for_this_client"},
      {"holder, not audience", "r1-server", tc, {}, "invalid_grant", "subject_not_for_this_client"},
      {"no requested_token_use",
       "m1",
       tc,
       {{"requested_token_use", kLeaveOut}},
       "invalid_grant",
       "requested_token_use_missing"},
      {"empty requested_token_use",
       "m1",
       tc,
       {{"requested_token_use", ""}},
       "invalid_grant",
       "requested_token_use_missing"},
      {"other requested_token_use",
       "m1",
       tc,
       {{"requested_token_use", "on_behalf"}},
       "invalid_request",
       "requested_token_use"},
      {"no assertion", "m1", tc, {{"assertion", kLeaveOut}}, "invalid_request", "assertion_missing"},
      {"refresh token", "m1", rt, {}, "invalid_grant", ""},
      {"issued actor token", "m1", server.issued_actor_token("a1"), {}, "invalid_grant", ""},
      {"self-signed actor token", "m1", server.assertion("a1"), {}, "invalid_grant", ""},
      {"client only", "m1", app_only, {}, "invalid_grant", "assertion_without_user"},
      {"agent only", "m1", agent_only, {}, "invalid_grant", "assertion_without_user"},
      {"garbage", "m1", "x.y.z", {}, "invalid_grant", ""},
      {"signed by another", "m1", server.sign("stranger", "at+jwt", claims_of(tc)), {}, "invalid_grant", ""},
      {"typ of another kind",
       "m1",
       server.sign("a1", "oauth-id-jag+jwt", claims_of(tc)),
       {},
       "invalid_grant",
       ""},
      {"public client", "cp", tc, {}, "unauthorized_client", "public_client"},
      {"client without the grant", "ca", tc, {}, "unauthorized_client", "grant_type_not_registered"},
      {"no scope", "m1", tc, {{"scope", kLeaveOut}}, "invalid_scope", "scope_missing"},
      {"only sign-in scopes", "m1", tc, {{"scope", "openid profile"}}, "invalid_scope", "scope_empty"},
      {"two resources",
       "m1",
       tc,
       {{"scope", kR2Read + " " + kR1 + "/r1.read"}},
       "invalid_scope",
       "several_targets"},
      {"two defaults",
       "m1",
       tc,
       {{"scope", kR2 + "/.default " + kR1 + "/.default"}},
       "invalid_scope",
       "several_targets"},
      {"default and single",
       "m1",
       tc,
       {{"scope", kR2 + "/.default " + kR2Read}},
       "invalid_scope",
       "default_mixed"},
      {"default and plain",
       "m1",
       tc,
       {{"scope", kR2 + "/.default r2.read"}},
       "invalid_scope",
       "default_mixed"},
      {"unknown default",
       "m1",
       tc,
       {{"scope", "https://api.example/x/.default"}},
       "invalid_scope",
       "scope_resource_unknown"},
      {"wildcard", "m1", tc, {{"scope", kR2 + "/*"}}, "invalid_scope", ""},
      {"beyond the assertion", "m1", tc, {{"scope", kR1 + "/r1.write"}}, "invalid_scope", "scope_widening"},
      {"resource contradicts scope", "m1", tc, {{"resource", kR1}}, "invalid_scope", "several_targets"},
      {"unknown resource",
       "m1",
       tc,
       {{"resource", "https://api.example/none"}},
       "invalid_target",
       "target_unknown"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const Reply reply = server.on_behalf_of(row.client, row.assertion, kR2Read, row.change);
    expect_refused(server, reply, 400, row.error, row.reason, {row.assertion});
  }
  EXPECT_EQ(server.on_behalf_of("m1", tc, kR2Read).status, 200);
  server.clock.advance(Seconds{301});
  expect_refused(server, server.on_behalf_of("m1", tc, kR2Read), 400, "invalid_grant", "subject_expired");
}

TEST(MicrosoftObo, default_means_what_is_left_of_that_resource) {  // K-12, D-85, 146
  TestServer server;
  const Reply reply = server.on_behalf_of("m1", m1_token(server), kR2 + "/.default");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.text("scope"), "r2.read");
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "aud"), kR2);
}

TEST(MicrosoftObo, the_end_of_the_person_or_the_grant_ends_the_assertion) {  // K-08, K-16
  TestServer server;
  const std::string first = m1_token(server);
  ASSERT_EQ(server.as("ca", "/revoke", {{"token", first}}).status, 200);
  expect_refused(server, server.on_behalf_of("m1", first, kR2Read), 400, "invalid_grant", "subject_ended");
  const std::string second = m1_token(server);
  server.suspend("user", "u1");
  expect_refused(server, server.on_behalf_of("m1", second, kR2Read), 400, "invalid_grant");
}

TEST(MicrosoftObo, a_refusal_says_what_its_libraries_read) {  // D-83
  TestServer server;
  const std::string tc = m1_token(server);
  const std::string guid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  const Fields bad{{"grant_type", kJwtBearer},
                   {"assertion", "x"},
                   {"scope", kR2Read},
                   {"requested_token_use", "on_behalf_of"}};
  const auto refused = [&](const std::string& query, const std::string& header) {
    http::Headers headers = server.basic("m1");
    if (!header.empty()) headers.set("client-request-id", header);
    const Reply reply = server.post("/token" + query, bad, headers);
    expect_refused(server, reply, 400, "invalid_grant");
    EXPECT_EQ(reply.json.find("suberror"), nullptr);
    return reply.text("correlation_id");
  };
  EXPECT_EQ(refused("?client-request-id=" + guid, ""), guid);
  EXPECT_EQ(refused("", guid), guid);
  for (const std::string& odd : {std::string("<b>"), guid + "0", guid.substr(1), std::string(36, 'a')}) {
    const std::string ours = refused("", odd);
    EXPECT_EQ(ours, text_at(server.last_audit(), "request_id")) << odd;
  }
  EXPECT_EQ(server.exchange("m1", "x", "a2").json.find("correlation_id"), nullptr);
  // The person took it back: only they can help.
  const std::string grant = text_at(claims_of(tc), "grant_id");
  ASSERT_EQ(server.admin("POST", "/grants/revoke", json_of("{\"id\":\"" + grant + "\"}")).status, 200);
  const Reply over = server.on_behalf_of("m1", tc, kR2Read);
  expect_refused(server, over, 400, "invalid_grant", "subject_ended");
  EXPECT_EQ(over.text("suberror"), "consent_required");
}

TEST(MicrosoftObo, a_downstream_step_up_is_relayed_as_claims) {  // K-10, D-83
  TestServer server;
  const std::string tc = m1_token(server);
  server.apply(
      json_of(R"({"resources":[{"id":"https://api.example/r2","name":"Resource R2","required_acr":"mfa",
                          "scopes":[{"name":"r2.read","title":"Read R2"}]}]})"));
  const Reply reply = server.on_behalf_of("m1", tc, kR2Read);
  expect_refused(server, reply, 400, "interaction_required", "step_up_required");
  const auto claims = json::parse(reply.text("claims"));
  ASSERT_TRUE(claims) << reply.body;
  EXPECT_EQ(*claims, json_of(R"({"access_token":{"acrs":{"essential":true,"value":"mfa"}}})"));
}

}  // namespace
}  // namespace behalf::test
