// The headers an API can believe: what is in them, and which spellings of them a client may not send.
#include "guard/identity.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "crypto/jwt.h"

namespace behalf::guard {
namespace {

sdk::Delegation chain_of_two() {
  sdk::Delegation delegation;
  delegation.issuer = "https://as.example";
  delegation.subject = "alice, \xC3\xA9\n";
  delegation.client = "planner";
  delegation.grant = "g1";
  delegation.token_id = "t1";
  delegation.scopes = {"a", "b"};
  delegation.expires_at = 2'000'000'000'000;
  delegation.chain.push_back({"https://as.example", "agent-b", "ai_agent", ""});
  delegation.chain.push_back({"https://as.example", "agent a", "ai_agent", ""});
  return delegation;
}

std::string value_of(const std::vector<std::pair<std::string, std::string>>& headers, std::string_view name) {
  for (const auto& [one, value] : headers) {
    if (one == name) return value;
  }
  return "(missing)";
}

// Security 253.
TEST(Identity, every_spelling_of_our_headers_is_ours) {
  for (const char* name :
       {"Behalf-Subject", "behalf-actor", "BEHALF-GRANT", "Behalf_Subject", "behalf_client", "Behalf-Chain",
        "Behalf.Subject", "Behalf-Identity", "Behalf_Anything-Else", "behalf-guard-credential"}) {
    EXPECT_TRUE(is_ours(name)) << name;
  }
  for (const char* name : {"Behalf", "X-Behalf-Subject", "Behal-f", "Subject", ""})
    EXPECT_FALSE(is_ours(name)) << name;
}

TEST(Identity, says_who_in_printable_text_that_can_be_taken_apart_again) {
  const Identity identity(IdentityStyle::kHeaders, "https://api.example", "https://api.example",
                          std::nullopt);
  const sdk::Delegation delegation = chain_of_two();
  const auto headers = identity.headers(&delegation, 0);
  EXPECT_EQ(value_of(headers, "Behalf-Subject"), "alice%2C%20%C3%A9%0A");
  EXPECT_EQ(value_of(headers, "Behalf-Client"), "planner");
  EXPECT_EQ(value_of(headers, "Behalf-Actor"), "agent-b");
  EXPECT_EQ(value_of(headers, "Behalf-Chain"), "agent-b, agent%20a");
  EXPECT_EQ(value_of(headers, "Behalf-Grant"), "g1");
  EXPECT_EQ(value_of(headers, "Behalf-Identity"), "");
  EXPECT_EQ(identity.key_set(), R"({"keys":[]})");
}

TEST(Identity, an_agent_of_another_issuer_does_not_look_like_one_of_ours) {
  const Identity identity(IdentityStyle::kHeaders, "https://api.example", "https://api.example",
                          std::nullopt);
  sdk::Delegation delegation = chain_of_two();
  delegation.chain[0].issuer = "https://evil.example/#";
  delegation.chain[1].subject = "https://evil.example#agent-b";
  const auto headers = identity.headers(&delegation, 0);
  EXPECT_EQ(value_of(headers, "Behalf-Actor"), "https://evil.example/%23#agent-b");
  EXPECT_EQ(value_of(headers, "Behalf-Chain"),
            "https://evil.example/%23#agent-b, https://evil.example%23agent-b");
}

// A proxy overwrites with what we say: so every header is said, always.
TEST(Identity, says_every_header_also_where_nobody_is_behind) {
  const Identity identity(IdentityStyle::kHeaders, "https://api.example", "https://api.example",
                          std::nullopt);
  const auto headers = identity.headers(nullptr, 0);
  ASSERT_EQ(headers.size(), 6U);
  for (const auto& [name, value] : headers) EXPECT_EQ(value, "") << name;
}

TEST(Identity, signs_one_header_that_the_published_key_verifies) {
  const Identity identity(IdentityStyle::kSigned, "https://api.example", "https://api.example/r",
                          std::nullopt);
  sdk::Delegation delegation = chain_of_two();
  delegation.subject = "alice";
  constexpr sdk::Milliseconds kThen = 1'900'000'000'000;
  const auto headers = identity.headers(&delegation, kThen);
  EXPECT_EQ(value_of(headers, "Behalf-Subject"), "");
  const auto set = json::parse(identity.key_set());
  ASSERT_TRUE(set);
  EXPECT_EQ(identity.key_set().find("\"d\""), std::string::npos) << "the private half stays here";
  const auto keys = crypto::import_key_set(*set);
  ASSERT_TRUE(keys);
  const auto jwt = crypto::EncodedJwt::parse(value_of(headers, "Behalf-Identity"));
  ASSERT_TRUE(jwt);
  const std::string_view types[] = {"behalf-identity+jwt"};
  const std::string audiences[] = {"https://api.example/r"};
  crypto::Expectations expect;
  expect.types = types;
  expect.issuer = "https://api.example";
  expect.audiences = audiences;
  expect.require_jti = false;
  const auto verified = crypto::verify(*jwt, expect, *keys, UnixTime{kThen});
  ASSERT_TRUE(verified);
  const json::Value& claims = verified->claims();
  EXPECT_EQ(*claims.find_string("sub"), delegation.subject);
  EXPECT_EQ(*claims.find_string("client_id"), "planner");
  EXPECT_EQ(*claims.find("act")->find_string("sub"), "agent-b");
  EXPECT_EQ(*claims.find("act")->find("act")->find_string("sub"), "agent a");
  EXPECT_EQ(*claims.find_string("scope"), "a b");
  EXPECT_LE(*claims.find_integer("exp") - *claims.find_integer("iat"), 60);
}

}  // namespace
}  // namespace behalf::guard
