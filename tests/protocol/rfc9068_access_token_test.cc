// The JWT access token (RFC 9068): every required claim, the typ, one audience, and identities kept apart.
#include <gtest/gtest.h>

#include <set>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Rfc9068,
     S2_2_all_required_claims_and_the_header) {  // G-01, G-03, G-04, G-05, G-07, G-08, G-09, G-11, L-02, E-40
  TestServer server;
  const Reply reply = server.flow("ca", "a1", "r1.read r1.write");
  const std::string token = reply.text("access_token");
  const json::Value header = header_of(token);
  EXPECT_EQ(text_at(header, "typ"), "at+jwt");
  EXPECT_EQ(text_at(header, "alg"), "ES256");
  EXPECT_NE(text_at(header, "kid"), "");
  const json::Value claims = claims_of(token);
  for (const char* name : {"iss", "sub", "client_id", "azp", "jti", "aud", "scope"}) {
    ASSERT_NE(claims.find(name), nullptr) << name;
    EXPECT_NE(claims.find(name)->string(), nullptr) << name;
  }
  EXPECT_EQ(text_at(claims, "iss"), server.get("/.well-known/oauth-authorization-server").text("issuer"));
  EXPECT_EQ(text_at(claims, "aud"), kR1);
  EXPECT_EQ(text_at(claims, "sub_profile"), "user");
  EXPECT_EQ(claims.find("aut"), nullptr);
  EXPECT_EQ(text_at(claims, "scope"), reply.text("scope"));
  const int64_t life = *claims.find_integer("exp") - *claims.find_integer("iat");
  EXPECT_EQ(life, 300);  // the agent's limit, below the client's 600
  EXPECT_EQ(reply.json.find_integer("expires_in"), life);
  EXPECT_NE(claims.find_integer("auth_time"), std::nullopt);
  const std::set<std::string> identities{text_at(claims, "sub"), text_at(claims, "client_id"),
                                         chain_of(token).front()};
  EXPECT_EQ(identities.size(), 3u);
}

TEST(Rfc9068, S2_2_software_for_itself_has_no_person_and_no_actor) {  // G-16
  TestServer server;
  const std::string own =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
          .text("access_token");
  const json::Value claims = claims_of(own);
  EXPECT_EQ(text_at(claims, "sub"), "a1");
  EXPECT_EQ(text_at(claims, "client_id"), "a1-runtime");
  EXPECT_EQ(text_at(claims, "sub_profile"), "ai_agent");
  for (const char* name : {"act", "auth_time", "acr", "amr", "grant_id", "may_act"})
    EXPECT_EQ(claims.find(name), nullptr) << name;
}

TEST(Rfc9068, S2_2_ids_never_repeat_and_grants_are_separate) {  // G-12, G-17, D-50
  TestServer server;
  std::set<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    ids.insert(text_at(
        claims_of(
            server
                .token("ca", {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
                .text("access_token")),
        "jti"));
  }
  EXPECT_EQ(ids.size(), 40u);
  const json::Value first = claims_of(server.flow("ca", "a1", "r1.read").text("access_token"));
  const json::Value second = claims_of(server.flow("cb", "a1", "r1.read").text("access_token"));
  EXPECT_NE(text_at(first, "client_id"), text_at(second, "client_id"));
  EXPECT_NE(text_at(first, "grant_id"), text_at(second, "grant_id"));
  EXPECT_EQ(*first.find("act"), *second.find("act"));
}

TEST(Rfc9068, the_resource_chooses_aut_and_a_shorter_life) {  // D-27, D-29
  TestServer server;
  server.apply(json_of(
      R"({"resources":[{"id":"https://api.example/r2","name":"R2","emit_aut":true,"access_token_lifetime":"20s",
                          "scopes":[{"name":"r2.read","title":"Read"}]}]})"));
  const json::Value claims = claims_of(server.flow("ca", "a1", "r2.read", kR2).text("access_token"));
  EXPECT_EQ(text_at(claims, "aut"), "APPLICATION_USER");
  EXPECT_EQ(claims.find("act")->find("aut"), nullptr);
  EXPECT_EQ(*claims.find_integer("exp") - *claims.find_integer("iat"), 20);
}

}  // namespace
}  // namespace behalf::test
