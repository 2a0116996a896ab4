// PKCE (RFC 7636): S256 always, for every client, on both ways in; and nothing but the one verifier opens the
// code.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(Rfc7636, S4_3_a_challenge_by_S256_is_required_everywhere) {  // B-11, B-12, B-13, 28, 29
  TestServer server;
  const std::string good(43, 'A');
  const struct {
    const char* name;
    Fields overrides;
    const char* reason;
  } cases[] = {
      {"none",
       {{"code_challenge", kLeaveOut}, {"code_challenge_method", kLeaveOut}},
       "code_challenge_missing"},
      {"empty", {{"code_challenge", ""}}, "code_challenge_missing"},
      {"plain", {{"code_challenge_method", "plain"}}, "code_challenge_method"},
      {"absent is plain", {{"code_challenge_method", kLeaveOut}}, "code_challenge_method"},
      {"lower case", {{"code_challenge_method", "s256"}}, "code_challenge_method"},
      {"S512", {{"code_challenge_method", "S512"}}, "code_challenge_method"},
      {"42", {{"code_challenge", good.substr(1)}}, "code_challenge_malformed"},
      {"44", {{"code_challenge", good + "A"}}, "code_challenge_malformed"},
      {"padding", {{"code_challenge", good.substr(1) + "="}}, "code_challenge_malformed"},
      {"base64", {{"code_challenge", good.substr(1) + "+"}}, "code_challenge_malformed"},
  };
  for (const auto& test : cases) {
    for (const char* client : {"ca", "cp"}) {
      SCOPED_TRACE(std::string(test.name) + " " + client);
      const Fields fields = with(server.authorization(client, "a1", "r1.read", make_pkce()), test.overrides);
      const Return to{.redirect_uri = std::string(client) == "cp" ? "http://127.0.0.1:4711/loop" : kRedirect,
                      .state = "state-of-the-client"};
      expect_sent_back(server, ask(server, fields), "invalid_request", test.reason, to);
      expect_refused(server, server.post("/par", fields, server.basic(client)), 400, "invalid_request",
                     test.reason);
    }
  }
}

TEST(Rfc7636, S4_6_wrong_verifier_is_invalid_grant_and_there_is_no_second_guess) {  // E-08, E-10, E-16, E-39,
                                                                                    // 53, 54, 56
  TestServer server;
  Browser browser(server);
  const Pkce other = make_pkce();
  const std::vector<std::pair<const char*, std::function<std::string(const Pkce&)>>> cases = {
      {"of another", [&](const Pkce&) { return other.verifier; }},
      {"the challenge", [](const Pkce& pkce) { return pkce.challenge; }},
      {"42", [](const Pkce& pkce) { return pkce.verifier.substr(0, 42); }},
      {"129", [](const Pkce& pkce) { return pkce.verifier + std::string(129 - pkce.verifier.size(), 'a'); }},
      {"newline", [](const Pkce& pkce) { return pkce.verifier + "\n"; }},
      {"space", [](const Pkce& pkce) { return pkce.verifier + " "; }},
      {"case swapped",
       [](const Pkce& pkce) {
         std::string swapped = pkce.verifier;
         std::transform(swapped.begin(), swapped.end(), swapped.begin(), [](char c) {
           return c >= 'a' && c <= 'z'   ? static_cast<char>(c - 32)
                  : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32)
                                         : c;
         });
         return swapped;
       }},
      {"absent", [](const Pkce&) { return kLeaveOut; }},
      {"empty", [](const Pkce&) { return std::string{}; }},
  };
  for (const auto& [name, make] : cases) {
    SCOPED_TRACE(name);
    const auto code = next_code(server, browser, "ca", "a1", "r1.read");
    const std::string verifier = make(code.pkce);
    const bool missing = verifier.empty() || verifier == kLeaveOut;
    expect_refused(
        server, server.token("ca", with(server.redemption(code, "a1"), {{"code_verifier", verifier}})), 400,
        "invalid_grant", missing ? "verifier_missing" : "verifier_wrong", {code.code, code.pkce.verifier});
    expect_refused(server, server.token("ca", server.redemption(code, "a1")), 400, "invalid_grant");  // D-11
  }
  EXPECT_EQ(
      server.token("ca", server.redemption(next_code(server, browser, "ca", "a1", "r1.read"), "a1")).status,
      200);
}

TEST(Rfc7636, S4_6_a_code_of_one_person_does_not_open_with_the_verifier_of_another) {  // E-39, 56
  TestServer server;
  const auto of_u1 = server.get_code("ca", "a1", "r1.read");
  auto injected = server.get_code("ca", "a1", "r1.read", kR1,
                                  {.user = "u2", .allow = true, .scopes = {}, .onward = true});
  injected.code = of_u1.code;
  expect_refused(server, server.token("ca", server.redemption(injected, "a1")), 400, "invalid_grant",
                 "verifier_wrong");
}

}  // namespace
}  // namespace behalf::test
