// The table of refusals: every code has a registered name and a status, and no answer leaks its reason or can
// be cached.
#include "oauth/error.h"

#include <gtest/gtest.h>

#include <set>

#include "base/json.h"

namespace behalf::oauth {
namespace {

// The last of the enumeration; a code added behind it must be added to the table below.
constexpr int kCodes = static_cast<int>(ErrorCode::kTemporarilyUnavailable) + 1;

TEST(ErrorTable, has_one_row_a_code) {
  const std::pair<const char*, int> kTable[] = {{"invalid_request", 400},
                                                {"invalid_client", 401},
                                                {"invalid_grant", 400},
                                                {"unauthorized_client", 400},
                                                {"unsupported_grant_type", 400},
                                                {"invalid_scope", 400},
                                                {"invalid_target", 400},
                                                {"access_denied", 400},
                                                {"unsupported_response_type", 400},
                                                {"login_required", 400},
                                                {"consent_required", 400},
                                                {"interaction_required", 400},
                                                {"invalid_request_uri", 400},
                                                {"request_not_supported", 400},
                                                {"request_uri_not_supported", 400},
                                                {"unsupported_token_type", 400},
                                                {"invalid_actor", 400},
                                                {"invalid_actor_token", 400},
                                                {"actor_mismatch", 400},
                                                {"actor_unauthorized", 400},
                                                {"consent_denied", 400},
                                                {"insufficient_user_authentication", 400},
                                                {"unmet_authentication_requirements", 400},
                                                {"invalid_token", 401},
                                                {"insufficient_scope", 403},
                                                {"temporarily_unavailable", 429},
                                                {"server_error", 500},
                                                {"temporarily_unavailable", 503}};
  ASSERT_EQ(std::size(kTable), static_cast<size_t>(kCodes));
  std::set<std::string_view> names;
  for (int i = 0; i < kCodes; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(name_of(code), kTable[i].first);
    EXPECT_EQ(status_of(code), kTable[i].second);
    names.insert(name_of(code));
  }
  // "temporarily_unavailable" has two statuses: over a limit, and the store away.
  EXPECT_EQ(names.size(), static_cast<size_t>(kCodes) - 1);
}

TEST(ErrorResponse, says_the_code_and_never_the_reason) {
  for (int i = 0; i < kCodes; ++i) {
    const auto response = error_response({static_cast<ErrorCode>(i), "what to do", "the inner reason", {}});
    EXPECT_EQ(response.status, status_of(static_cast<ErrorCode>(i)));
    const auto body = json::parse(response.body);
    ASSERT_TRUE(body);
    EXPECT_EQ(*body->find_string("error"), name_of(static_cast<ErrorCode>(i)));
    EXPECT_EQ(*body->find_string("error_description"), "what to do");
    EXPECT_EQ(response.body.find("inner"), std::string::npos);
    ASSERT_NE(response.headers.find("Cache-Control"), nullptr);
    EXPECT_EQ(*response.headers.find("Cache-Control"), "no-store");
  }
}

TEST(ErrorResponse, keeps_a_description_within_the_grammar) {
  const auto response =
      error_response({ErrorCode::kInvalidRequest, "a\"b\\c\nd\xC3\xA4" + std::string(1000, 'x'), "", {}});
  const auto body = json::parse(response.body);
  ASSERT_TRUE(body);
  const std::string& text = *body->find_string("error_description");
  EXPECT_LE(text.size(), 300U);
  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7F && c != '"' && c != '\\');
}

TEST(ErrorResponse, challenges_only_whom_the_basic_scheme_was_used_by) {
  const OAuthError wrong_client{ErrorCode::kInvalidClient, "no", "r", {}};
  EXPECT_NE(error_response(wrong_client, Challenge::kBasic).headers.find("WWW-Authenticate"), nullptr);
  EXPECT_EQ(error_response(wrong_client).headers.find("WWW-Authenticate"), nullptr);
  EXPECT_EQ(error_response({ErrorCode::kInvalidGrant, "no", "r", {}}, Challenge::kBasic)
                .headers.find("WWW-Authenticate"),
            nullptr);
}

TEST(ErrorResponse, extra_members_stand_beside_the_error) {
  const auto body =
      json::parse(error_response({ErrorCode::kInteractionRequired, "", "r", ",\"claims\":\"{}\""}).body);
  ASSERT_TRUE(body);
  EXPECT_EQ(*body->find_string("claims"), "{}");
  EXPECT_EQ(body->find("error_description"), nullptr);
}

TEST(ErrorResponse, an_unusable_store_says_when_to_come_back) {
  const auto response = unavailable_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.headers.find("Retry-After"), nullptr);
}

}  // namespace
}  // namespace behalf::oauth
