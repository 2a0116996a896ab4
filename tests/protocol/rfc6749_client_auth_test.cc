// Client authentication with secrets (RFC 6749 §2.3): one method, the registered one, strictly decoded, and
// refused alike whether the client is unknown or the secret is wrong.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

const std::string kFirst = "first+secret/with:colon%and=signs 0123456789";
const std::string kSecond = "second-secret-0123456789-0123456789";
const Fields kAsk{{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}};

http::Headers authorization(const std::string& value) {
  http::Headers headers;
  headers.set("Authorization", value);
  return headers;
}
std::string basic(const std::string& id, const std::string& secret) {
  return "Basic " + base64(id + ":" + secret);
}

class Rfc6749ClientAuth : public testing::Test {
 protected:
  Rfc6749ClientAuth() { server.change("clients", "ca", "secret", kFirst); }
  Reply ask(const http::Headers& headers, const Fields& more = {}) {
    return server.post("/token", with(kAsk, more), headers);
  }
  TestServer server;
};

TEST_F(Rfc6749ClientAuth, S2_3_1_basic_is_decoded_as_the_text_says) {  // 149
  const std::string encoded = http::percent_encode(kFirst);
  EXPECT_EQ(ask(authorization(basic("ca", encoded))).status, 200);
  EXPECT_EQ(ask(authorization("basic" + basic("%63a", encoded).substr(5))).status, 200);
  std::string plus = encoded;
  plus.replace(plus.find("%20"), 3, "+");
  EXPECT_EQ(ask(authorization(basic("ca", plus))).status, 200);
  const struct {
    std::string name, header, reason;
  } rows[] = {
      {"not encoded", basic("ca", kFirst), "malformed_basic"},
      {"bad escape", basic("ca", "%zz" + encoded), "malformed_basic"},
      {"cut escape", basic("ca", encoded + "%4"), "malformed_basic"},
      {"no base64", "Basic ca:" + encoded, "malformed_basic"},
      {"space in base64", "Basic " + base64("ca:").substr(0, 2) + " " + base64("ca:" + encoded).substr(2),
       "malformed_basic"},
      {"no colon", "Basic " + base64("ca" + encoded), "malformed_basic"},
      {"empty", "Basic ", "malformed_basic"},
      {"no id", basic("", encoded), "malformed_basic"},
      {"trailing garbage", basic("ca", encoded) + ",x", "malformed_basic"},
      {"other scheme", "Bearer " + encoded, "malformed_basic"},
      {"double encoded", basic("ca", http::percent_encode(encoded)), "wrong_secret"},
      {"longer", basic("ca", encoded + "x"), "wrong_secret"},
      {"empty secret", basic("ca", ""), "wrong_secret"},
      {"other case of the id", basic("CA", encoded), "unknown_client"},
      {"NUL in the id", basic("ca%00", encoded), "unknown_client"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const Reply reply = ask(authorization(row.header));
    expect_refused(server, reply, 401, "invalid_client", row.reason, {kFirst, encoded});
    EXPECT_TRUE(reply.header("WWW-Authenticate").starts_with("Basic ")) << row.name;
  }
  EXPECT_EQ(ask(authorization(basic("ca", encoded))).status, 200);
}

TEST_F(Rfc6749ClientAuth, S2_3_one_method_and_the_registered_one) {  // 147, 148, 150, 151
  const http::Headers good = authorization(basic("ca", http::percent_encode(kFirst)));
  const std::string assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  expect_refused(server, ask(good, {{"client_secret", kFirst}}), 400, "invalid_request", "two_methods",
                 {kFirst});
  expect_refused(
      server,
      ask(good, {{"client_assertion", server.assertion("cg")}, {"client_assertion_type", assertion_type}}),
      400, "invalid_request", "two_methods");
  expect_refused(
      server,
      ask({}, {{"client_id", "cg"}, {"client_secret", "x"}, {"client_assertion", server.assertion("cg")}}),
      400, "invalid_request", "two_methods");
  http::Headers twice = good;
  twice.add("Authorization", basic("ca", "x"));
  expect_refused(server, ask(twice), 400, "invalid_request", "two_methods");
  expect_refused(server, ask({}, {{"client_id", "ca"}, {"client_secret", kFirst}}), 401, "invalid_client",
                 "other_method_registered", {kFirst});
  expect_refused(server, ask(authorization(basic("cg", kSecond))), 401, "invalid_client", "wrong_secret");
  expect_refused(server, ask(authorization(basic("cp", "x"))), 401, "invalid_client", "wrong_secret");
  expect_refused(server, ask(good, {{"client_id", "cb"}}), 401, "invalid_client", "client_id_differs");
  expect_refused(server, ask({}), 401, "invalid_client", "no_client");
  for (const char* path : {"/token", "/par", "/revoke", "/introspect"}) {
    SCOPED_TRACE(path);
    expect_refused(server, server.post(path, with(kAsk, {{"client_id", "ca"}, {"token", "x"}})), 401,
                   "invalid_client", "no_credentials");
  }
  EXPECT_EQ(ask(good, {{"client_id", "ca"}, {"client_secret", ""}}).status, 200);  // §3.1: empty is left out

  server.change("clients", "ca", "auth_method", "client_secret_post");
  EXPECT_EQ(ask({}, {{"client_id", "ca"}, {"client_secret", kFirst}}).status, 200);
  expect_refused(server, ask(good), 401, "invalid_client", "other_method_registered");
}

TEST_F(Rfc6749ClientAuth, S5_2_unknown_client_and_wrong_secret_look_the_same) {  // 161, I11
  const Reply unknown = ask(authorization(basic("nobody", "x")));
  const Reply wrong = ask(authorization(basic("ca", "x")));
  EXPECT_EQ(unknown.body, wrong.body);
  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(unknown.header("WWW-Authenticate"), wrong.header("WWW-Authenticate"));
  server.suspend("client", "ca");
  const Reply suspended = ask(authorization(basic("ca", http::percent_encode(kFirst))));
  EXPECT_EQ(suspended.body, wrong.body);
  expect_refused(server, suspended, 401, "invalid_client", "client_inactive");
  EXPECT_EQ(server.post("/token", with(kAsk, {{"client_id", "nobody"}})).body,
            server.post("/token", with(kAsk, {{"client_id", "cb"}})).body);
}

TEST_F(Rfc6749ClientAuth, a_rotated_secret_works_for_one_more_day) {  // 162
  const http::Headers first = authorization(basic("ca", http::percent_encode(kFirst)));
  const http::Headers second = authorization(basic("ca", kSecond));
  EXPECT_EQ(ask(second).status, 401);
  server.change("clients", "ca", "secret", kSecond);
  EXPECT_EQ(ask(first).status, 200);
  EXPECT_EQ(ask(second).status, 200);
  server.clock.advance(Seconds{86399});
  EXPECT_EQ(ask(first).status, 200);
  server.clock.advance(Seconds{1});
  expect_refused(server, ask(first), 401, "invalid_client", "wrong_secret", {kFirst, kSecond});
  EXPECT_EQ(ask(second).status, 200);
}

}  // namespace
}  // namespace behalf::test
