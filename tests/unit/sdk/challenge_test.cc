// Each answer of a resource, word for word, and that nothing put into it breaks out of it.
#include "behalf/challenge.h"

#include <gtest/gtest.h>

#include <tuple>

#include "base/json.h"
#include "behalf/bearer.h"
#include "behalf/policy.h"

namespace behalf::sdk {
namespace {

const Challenger& challenger() {
  static const Challenger here("https://api.example/.well-known/oauth-protected-resource");
  return here;
}
constexpr std::string_view kMetadata =
    R"(resource_metadata="https://api.example/.well-known/oauth-protected-resource")";

std::string with_metadata(std::string_view rest) {
  return "Bearer " + std::string(kMetadata) + std::string(rest);
}

TEST(Challenge, no_token_is_told_no_error) {  // RFC 6750 §3.1, D-40, I-01  // I-01, D-40
  const Challenge bare = challenger().token_missing();
  EXPECT_EQ(bare.status, 401);
  EXPECT_EQ(bare.www_authenticate, with_metadata(""));
  EXPECT_EQ(bare.body, "");
  EXPECT_EQ(challenger().token_missing({"mail.read", "mail.send"}).www_authenticate,
            with_metadata(R"(, scope="mail.read mail.send", required_scope="mail.read mail.send")"));
  EXPECT_EQ(Challenger("").token_missing().www_authenticate, "Bearer");
}

TEST(Challenge, says_what_is_needed) {  // RFC 6750 §3, D-39, D-41, D-43, I-14  // I-04, D-39
  const Challenge scope = challenger().insufficient_scope({"a", "b"});
  EXPECT_EQ(scope.status, 403);
  EXPECT_EQ(scope.www_authenticate,
            with_metadata(R"(, error="insufficient_scope", error_description="the token does not cover this")"
                          R"(, scope="a b", required_scope="a b")"));
  EXPECT_EQ(scope.body,
            R"({"error":"insufficient_scope","error_description":"the token does not cover this",)"
            R"("scope":"a b","required_scope":"a b"})");

  const Challenge step_up = challenger().step_up("urn:mfa", 300);
  EXPECT_EQ(step_up.status, 401);
  EXPECT_NE(step_up.www_authenticate.find(R"(error="insufficient_user_authentication")"), std::string::npos);
  EXPECT_NE(step_up.www_authenticate.find(R"(acr_values="urn:mfa", max_age="300")"), std::string::npos);
  EXPECT_EQ(challenger().step_up("", std::nullopt).www_authenticate.find("acr_values"), std::string::npos);

  const Challenge missing = challenger().actor_missing();
  EXPECT_EQ(missing.status, 401);
  EXPECT_NE(missing.www_authenticate.find(R"(error="invalid_token")"), std::string::npos);
  const Challenge actor = challenger().actor_unauthorized("this agent may not");
  EXPECT_EQ(actor.status, 403);
  EXPECT_EQ(actor.www_authenticate,
            with_metadata(R"(, error="actor_unauthorized", error_description="this agent may not")"));
  const Challenge denied = challenger().denied("no");
  EXPECT_EQ(denied.status, 403);
  EXPECT_NE(denied.www_authenticate.find(R"(error="access_denied")"), std::string::npos);
  const Challenge malformed = challenger().invalid_request("two tokens");
  EXPECT_EQ(malformed.status, 400);
  EXPECT_NE(malformed.www_authenticate.find(R"(error="invalid_request")"), std::string::npos);
  const Challenge busy = challenger().too_many_requests(7);
  EXPECT_EQ(busy.status, 429);
  EXPECT_EQ(busy.www_authenticate, "");
  EXPECT_EQ(busy.body, R"({"error":"too_many_requests","error_description":"try again in 7 seconds"})");
}

TEST(Challenge, blames_the_token_only_where_it_is_to_blame) {
  for (int i = 0; i <= static_cast<int>(Refusal::kKeysUnavailable); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    const Challenge challenge = challenger().refused(refusal);
    const bool is_ours = refusal == Refusal::kRevocationStale || refusal == Refusal::kKeysUnavailable;
    EXPECT_EQ(challenge.status, is_ours ? 503 : 401) << name_of(refusal);
    EXPECT_EQ(challenge.www_authenticate.empty(), is_ours);
    EXPECT_EQ(challenge.body.find("invalid_token") == std::string::npos, is_ours);
  }
}

TEST(Challenge, every_decision_has_its_answer) {
  const std::vector<std::tuple<Effect, int, std::string>> rows = {
      {Effect::kTokenMissing, 401, ""},
      {Effect::kActorMissing, 401, "invalid_token"},
      {Effect::kActorUnauthorized, 403, "actor_unauthorized"},
      {Effect::kInsufficientScope, 403, "insufficient_scope"},
      {Effect::kStepUp, 401, "insufficient_user_authentication"},
      {Effect::kTooMany, 429, "too_many_requests"},
      {Effect::kDenied, 403, "access_denied"},
      {Effect::kAllow, 403, "access_denied"},
  };
  for (const auto& [effect, status, error] : rows) {
    Decision decision;
    decision.effect = effect;
    decision.scopes = {"mail.read"};
    decision.acr = "urn:mfa";
    decision.retry_after = 9;
    const Challenge challenge = challenger().answer(decision);
    EXPECT_EQ(challenge.status, status) << name_of(effect);
    EXPECT_EQ(challenge.body.find("\"error\":\"" + error + "\"") == std::string::npos, error.empty());
    EXPECT_EQ(challenge.retry_after, effect == Effect::kTooMany ? 9 : 0);
  }
}

TEST(Challenge, nothing_breaks_out_of_it) {
  const std::string hostile = "a\"b\\c\r\nSet-Cookie: x=1\t\x7f\xc3\xa9" + std::string(1, '\0') + "d";
  const Challenger here("https://api.example/\r\n\"x");
  for (const Challenge& challenge :
       {here.denied(hostile), here.invalid_request(hostile), here.actor_unauthorized(hostile),
        here.insufficient_scope({hostile, hostile}), here.step_up(hostile, 1),
        here.token_missing({hostile})}) {
    size_t quotes = 0;
    for (const char c : challenge.www_authenticate) {
      EXPECT_TRUE(c >= 0x20 && c <= 0x7e) << challenge.www_authenticate;
      EXPECT_NE(c, '\\');
      quotes += c == '"' ? 1 : 0;
    }
    size_t parameters = 0;
    for (size_t at = 0; (at = challenge.www_authenticate.find("=\"", at)) != std::string::npos; ++at)
      ++parameters;
    EXPECT_EQ(quotes, 2 * parameters) << challenge.www_authenticate;
    EXPECT_TRUE(challenge.body.empty() || json::parse(challenge.body)) << challenge.body;
  }
}

TEST(Bearer, one_header_one_token) {  // RFC 6750 §2.1, D-42, I-15
  using Status = BearerToken::Status;
  struct Case {
    std::vector<std::string_view> headers;
    std::string_view query;
    Status status;
    std::string_view token = {};
  };
  const std::vector<Case> cases = {
      {{"Bearer abc.def-_~+/=="}, "", Status::kPresent, "abc.def-_~+/=="},
      {{"bearer abc"}, "", Status::kPresent, "abc"},
      {{"BEARER abc"}, "x=1&y=access_token", Status::kPresent, "abc"},
      {{}, "", Status::kNone},
      {{}, "access_tokens=1", Status::kNone},
      {{"Basic abc"}, "", Status::kNone},
      {{"DPoP abc"}, "", Status::kNone},
      {{"Bearerabc"}, "", Status::kNone},
      {{""}, "", Status::kNone},
      {{"Bearer abc", "Bearer abc"}, "", Status::kMalformed},
      {{"Bearer abc", "Basic abc"}, "", Status::kMalformed},
      {{"Bearer abc, Bearer def"}, "", Status::kMalformed},
      {{"Bearer abc,def"}, "", Status::kMalformed},
      {{"Bearer"}, "", Status::kMalformed},
      {{"Bearer "}, "", Status::kMalformed},
      {{"Bearer  abc"}, "", Status::kMalformed},
      {{"Bearer\tabc"}, "", Status::kMalformed},
      {{"Bearer abc "}, "", Status::kMalformed},
      {{"Bearer a bc"}, "", Status::kMalformed},
      {{"Bearer ="}, "", Status::kMalformed},
      {{"Bearer a=b"}, "", Status::kMalformed},
      {{"Bearer \"abc\""}, "", Status::kMalformed},
      {{"Bearer abc\xc3\xa9"}, "", Status::kMalformed},
      {{"Bearer abc"}, "access_token=abc", Status::kMalformed},
      {{}, "a=b&access_token=", Status::kMalformed},
      {{}, "access_token", Status::kMalformed},
  };
  for (const Case& c : cases) {
    const BearerToken read = read_bearer(c.headers, c.query);
    EXPECT_EQ(read.status, c.status) << (c.headers.empty() ? "" : c.headers.front()) << " ? " << c.query;
    EXPECT_EQ(read.token, c.token);
  }
}

}  // namespace
}  // namespace behalf::sdk
