// Server metadata (RFC 8414) and the key set: what is announced is there, and nothing else is announced.
#include <gtest/gtest.h>

#include "crypto/jwk.h"
#include "crypto/jwt.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

std::vector<std::string> list_at(const json::Value& document, std::string_view name) {
  std::vector<std::string> out;
  const json::Value* list = document.find(name);
  if (list == nullptr || list->array() == nullptr) return out;
  for (const json::Value& item : *list->array()) out.push_back(*item.string());
  return out;
}

void expect_no_empty_list(const json::Value& value) {
  if (value.array() != nullptr) {
    EXPECT_FALSE(value.array()->empty());
    for (const json::Value& item : *value.array()) expect_no_empty_list(item);
  }
  if (value.object() == nullptr) return;
  for (const json::Member& member : *value.object()) {
    SCOPED_TRACE(member.name);
    expect_no_empty_list(member.value);
  }
}

TEST(Rfc8414, S3_the_document_is_true) {  // A-01, A-02, A-03, A-05, A-06, M-23
  TestServer server;
  const Reply reply = server.get("/.well-known/oauth-authorization-server");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.text("issuer"), kIssuer);
  EXPECT_EQ(list_at(reply.json, "code_challenge_methods_supported"), (std::vector<std::string>{"S256"}));
  EXPECT_EQ(list_at(reply.json, "response_types_supported"), (std::vector<std::string>{"code"}));
  EXPECT_EQ(list_at(reply.json, "grant_types_supported"),
            (std::vector<std::string>{"authorization_code", "refresh_token", "client_credentials", kExchange,
                                      kJwtBearer}));
  EXPECT_EQ(*reply.json.find("authorization_response_iss_parameter_supported"), json::Value(true));
  EXPECT_EQ(*reply.json.find("requested_actor_parameter_supported"), json::Value(true));
  for (const char* name :
       {"actor_token_signing_alg_values_supported", "token_endpoint_auth_signing_alg_values_supported"}) {
    const auto algorithms = list_at(reply.json, name);
    EXPECT_FALSE(algorithms.empty());
    for (const std::string& algorithm : algorithms) {
      EXPECT_NE(algorithm, "none");
      EXPECT_FALSE(algorithm.starts_with("HS")) << name;
    }
  }
  const auto actors = list_at(*reply.json.find("entity_profiles_supported"), "actor");
  EXPECT_NE(std::find(actors.begin(), actors.end(), "ai_agent"), actors.end());
  expect_no_empty_list(reply.json);
  const Reply other = server.get("/.well-known/openid-configuration", {});
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(other.body, reply.body);
  const http::ClientRequest forged{.method = "GET",
                                   .path_and_query = "/.well-known/oauth-authorization-server",
                                   .headers =
                                       [] {
                                         http::Headers h;
                                         h.set("X-Forwarded-Host", "evil.example");
                                         h.set("Forwarded", "host=evil.example");
                                         return h;
                                       }(),
                                   .body = {}};
  EXPECT_EQ(server.send(forged).body, reply.body);  // I16
}

TEST(Rfc8414, S2_every_endpoint_that_is_announced_answers) {
  TestServer server;
  const Reply metadata = server.get("/.well-known/oauth-authorization-server");
  size_t endpoints = 0;
  for (const json::Member& member : *metadata.json.object()) {
    if (!member.name.ends_with("_endpoint") && member.name != "jwks_uri") continue;
    SCOPED_TRACE(member.name);
    ++endpoints;
    ASSERT_TRUE(member.value.string()->starts_with(kIssuer + "/"));
    const std::string path = member.value.string()->substr(kIssuer.size());
    const bool is_page = member.name == "authorization_endpoint" || member.name == "jwks_uri";
    const Reply right = is_page ? server.get(path) : server.post(path, {});
    EXPECT_NE(right.status, 404);
    EXPECT_NE(right.status, 405);
    EXPECT_LT(right.status, 500);
    const Reply wrong = server.send({.method = "DELETE", .path_and_query = path, .headers = {}, .body = {}});
    EXPECT_EQ(wrong.status, 405);
    EXPECT_NE(wrong.header("Allow"), "");
  }
  EXPECT_EQ(endpoints, 6u);
  // Announced methods and grants are the ones the token endpoint knows; what is not announced is refused
  // (A-09).
  for (const std::string& grant : list_at(metadata.json, "grant_types_supported")) {
    EXPECT_NE(server.token("ca", {{"grant_type", grant}}).error(), "unsupported_grant_type") << grant;
  }
  for (const char* grant :
       {"password", "implicit", "urn:openid:params:grant-type:ciba",
        "urn:ietf:params:oauth:grant-type:agent-authorization_code", "Authorization_code"}) {
    SCOPED_TRACE(grant);
    expect_refused(server, server.token("ca", {{"grant_type", grant}}), 400, "unsupported_grant_type",
                   "grant_type_unknown");
  }
}

TEST(Rfc7517, S4_the_key_set_is_public_and_verifies_every_algorithm) {  // A-07
  TestServer server;
  const Reply reply = server.get("/jwks");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Type"), "application/jwk-set+json");
  for (const json::Value& key : *reply.json.find("keys")->array()) {
    EXPECT_NE(text_at(key, "kid"), "");
    EXPECT_NE(text_at(key, "alg"), "");
    EXPECT_EQ(text_at(key, "use"), "sig");
    for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
      EXPECT_EQ(key.find(secret), nullptr) << secret;
  }
  const auto keys = crypto::import_key_set(reply.json);
  ASSERT_TRUE(keys);
  const Reply metadata = server.get("/.well-known/oauth-authorization-server");
  const auto algorithms = list_at(metadata.json, "access_token_signing_alg_values_supported");
  EXPECT_EQ(algorithms.size(), 4u);
  for (const std::string& algorithm : algorithms) {
    SCOPED_TRACE(algorithm);
    server.apply(json_of(R"({"resources":[{"id":"https://api.example/r2","name":"R2","signing_alg":")" +
                         algorithm + R"(","scopes":[{"name":"r2.read","title":"Read"}]}]})"));
    const std::string token =
        server.token("ca", {{"grant_type", "client_credentials"}, {"resource", kR2}, {"scope", "r2.read"}})
            .text("access_token");
    ASSERT_NE(token, "");
    EXPECT_EQ(text_at(header_of(token), "alg"), algorithm);
    const std::string_view types[] = {"at+jwt"};
    const std::string audiences[] = {kR2};
    const auto verified = crypto::verify(*crypto::EncodedJwt::parse(token),
                                         {.types = types,
                                          .issuer = kIssuer,
                                          .subject = "ca",
                                          .audiences = audiences,
                                          .longest_life = Seconds{3600}},
                                         *keys, server.clock.now());
    EXPECT_TRUE(verified) << describe(verified.reason());
  }
}

}  // namespace
}  // namespace behalf::test
