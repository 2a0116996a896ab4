// Client authentication with a signed assertion (RFC 7523 §2.2, §3): for this issuer alone, short-lived, used
// once, at every endpoint alike.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

const std::string kType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const Fields kAskWithToken{
    {"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}, {"token", "x"}};

Reply ask(TestServer& server, const std::string& assertion, const std::string& path = "/token",
          const Fields& more = {}) {
  return server.post(
      path,
      with(with(kAskWithToken, {{"client_assertion_type", kType}, {"client_assertion", assertion}}), more));
}

TEST(Rfc7523, S3_what_an_assertion_must_be) {  // 12, 152, 153, 156, 157
  TestServer server;
  const int64_t now = server.clock.now().seconds();
  const auto at = [](const char* name, int64_t value) {
    json::Value out;
    out.set(name, value);
    return out;
  };
  json::Value expired = at("exp", now - 61);
  expired.set("iat", now - 100);
  json::Value of_cg = claims_of(server.assertion("cg"));
  std::string broken = server.assertion("cg");
  broken[broken.size() - 10] = broken[broken.size() - 10] == 'A' ? 'B' : 'A';
  const struct {
    std::string name, assertion;
  } rows[] = {
      {"aud is the token endpoint", server.assertion("cg", json_of(R"({"aud":"https://as.example/token"})"))},
      {"aud is a list of us twice",
       server.assertion("cg", json_of(R"({"aud":["https://as.example","https://as.example"]})"))},
      {"aud is a list of the token endpoint",
       server.assertion("cg", json_of(R"({"aud":["https://as.example/token"]})"))},
      {"aud is a list in a list", server.assertion("cg", json_of(R"({"aud":[["https://as.example"]]})"))},
      {"aud is an empty list", server.assertion("cg", json_of(R"({"aud":[]})"))},
      {"aud is an object", server.assertion("cg", json_of(R"({"aud":{"iss":"https://as.example"}})"))},
      {"aud is a list of two",
       server.assertion("cg", json_of(R"({"aud":["https://as.example","https://as.example/token"]})"))},
      {"aud has a slash", server.assertion("cg", json_of(R"({"aud":"https://as.example/"})"))},
      {"aud in upper case", server.assertion("cg", json_of(R"({"aud":"https://AS.example"})"))},
      {"aud of another server", server.assertion("cg", json_of(R"({"aud":"https://other.example"})"))},
      {"no aud", server.assertion("cg", json_of(R"({"aud":null})"))},
      {"no sub", server.assertion("cg", json_of(R"({"sub":null})"))},
      {"no iss", server.assertion("cg", json_of(R"({"iss":null})"))},
      {"iss is not sub", server.assertion("cg", json_of(R"({"iss":"ag"})"))},
      {"no exp", server.assertion("cg", json_of(R"({"exp":null})"))},
      {"no jti", server.assertion("cg", json_of(R"({"jti":null})"))},
      {"exp is text", server.assertion("cg", json_of(R"({"exp":"1795000060"})"))},
      {"a day ahead", server.assertion("cg", at("exp", now + 86400))},
      {"301 s", server.assertion("cg", at("exp", now + 361))},
      {"expired", server.assertion("cg", expired)},
      {"not yet", server.assertion("cg", at("nbf", now + 120))},
      {"issued in the future", server.assertion("cg", at("iat", now + 600))},
      {"key of its agent", server.sign("ag", "JWT", of_cg)},
      {"key of a stranger", server.sign("stranger", "JWT", of_cg)},
      {"typ of an access token", server.assertion("cg", {}, "at+jwt")},
      {"typ of a proof", server.assertion("cg", {}, "dpop+jwt")},
      {"broken signature", broken},
      {"no signature", broken.substr(0, broken.rfind('.') + 1)},
      {"garbage", "a.b.c"},
      {"unknown client", server.assertion("stranger")},
      {"an agent's actor token", server.assertion("ag")},
      {"an access token", server.flow("ca", "a1", "r1.read").text("access_token")},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_refused(server, ask(server, row.assertion), 401, "invalid_client", {}, {row.assertion});
  }
  const std::string good = server.assertion("cg");
  expect_refused(server, ask(server, good, "/token", {{"client_assertion_type", "x"}}), 401, "invalid_client",
                 "assertion_type");
  expect_refused(server, ask(server, good, "/token", {{"client_assertion_type", kLeaveOut}}), 401,
                 "invalid_client", "assertion_type");
  expect_refused(server, ask(server, good, "/token", {{"client_assertion", kLeaveOut}}), 401,
                 "invalid_client", "assertion_malformed");
  expect_refused(server, ask(server, good, "/token", {{"client_id", "ca"}}), 401, "invalid_client",
                 "client_id_differs");
  EXPECT_EQ(ask(server, good, "/token", {{"client_id", "cg"}}).status, 200);
}

TEST(Rfc7523, S3_the_same_rules_at_every_endpoint) {  // 12, 152
  TestServer server;
  for (const char* path : {"/token", "/par", "/introspect", "/revoke"}) {
    SCOPED_TRACE(path);
    const std::string here = R"({"aud":"https://as.example)" + std::string(path) + "\"}";
    expect_refused(server, ask(server, server.assertion("cg", json_of(here)), path), 401, "invalid_client");
    const std::string two =
        R"({"aud":["https://as.example","https://as.example)" + std::string(path) + "\"]}";
    expect_refused(server, ask(server, server.assertion("cg", json_of(two)), path), 401, "invalid_client");
    // The issuer as a string; a list is what assertions for several servers look like.
    const char* alone = R"({"aud":["https://as.example"]})";
    expect_refused(server, ask(server, server.assertion("cg", json_of(alone)), path), 401, "invalid_client");
  }
  EXPECT_EQ(ask(server, server.assertion("cg"), "/introspect").status, 200);
  EXPECT_EQ(ask(server, server.assertion("cg"), "/revoke").status, 200);
}

TEST(Rfc7523, S3_an_assertion_is_used_once_wherever) {  // D-09, 155
  TestServer server;
  const std::string once = server.assertion("cg");
  EXPECT_EQ(ask(server, once).status, 200);
  for (const char* path : {"/token", "/par", "/introspect", "/revoke"}) {
    SCOPED_TRACE(path);
    expect_refused(server, ask(server, once, path), 401, "invalid_client", "assertion_replayed", {once});
  }
  server.restart();
  expect_refused(server, ask(server, once), 401, "invalid_client", "assertion_replayed");
  // A refused request has shown its assertion all the same.
  const std::string shown = server.assertion("cg");
  expect_refused(server, ask(server, shown, "/token", {{"scope", "nothing"}}), 400, "invalid_scope");
  expect_refused(server, ask(server, shown), 401, "invalid_client", "assertion_replayed");
  // Another client's jti of the same text is another one.
  EXPECT_EQ(ask(server, server.assertion("cg", json_of(R"({"jti":"same"})"))).status, 200);
  EXPECT_EQ(server
                .exchange("ca", server.flow("ca", "a1", "r1.read").text("access_token"), "",
                          {{"actor_token", server.assertion("a2", json_of(R"({"jti":"same"})"))},
                           {"actor_token_type", kJwtType}})
                .status,
            200);
}

}  // namespace
}  // namespace behalf::test
