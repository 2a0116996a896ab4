// The issuer in every answer of the authorization endpoint (RFC 9207), byte for byte as the metadata says it.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(Rfc9207, S2_success_refusal_and_denial_carry_the_issuer_of_the_metadata) {  // 47, R-01
  TestServer server;
  const Reply metadata = server.get("/.well-known/oauth-authorization-server");
  const std::string issuer = metadata.text("issuer");
  EXPECT_EQ(issuer, kIssuer);
  const json::Value* announced = metadata.json.find("authorization_response_iss_parameter_supported");
  ASSERT_NE(announced, nullptr);
  ASSERT_NE(announced->boolean(), nullptr);
  EXPECT_TRUE(*announced->boolean());
  Browser browser(server);
  const Fields good = server.authorization("ca", "a1", "r1.read", make_pkce());
  const Reply denied =
      server.authorize(browser, good, {.user = "u1", .allow = false, .scopes = {}, .onward = true});
  EXPECT_EQ(denied.location_parameter("error"), "access_denied");
  EXPECT_EQ(denied.location_parameter("iss"), issuer);
  EXPECT_EQ(server.authorize(browser, good).location_parameter("iss"), issuer);
  EXPECT_EQ(ask(server, with(good, {{"scope", "none.such"}})).location_parameter("iss"), issuer);
  EXPECT_EQ(browser.get("/authorize?" + http::write_form(good)).location_parameter("iss"), issuer);
  http::Headers elsewhere;  // I16: never from the request
  elsewhere.set("X-Forwarded-Host", "evil.example");
  elsewhere.set("Forwarded", "host=evil.example");
  EXPECT_EQ(
      server.get("/authorize?" + http::write_form(good), elsewhere).header("Location").find("evil.example"),
      std::string::npos);
}

}  // namespace
}  // namespace behalf::test
