// Paths: one reading, or no rule matches (the decision is about the bytes the API acts on).
#include "sdk/policy_path.h"

#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;
using rules::PathMatch;
using rules::PathTemplate;
using rules::RequestPath;

PathMatch match(std::string_view text, std::string_view path) {
  PathTemplate parsed;
  EXPECT_EQ(PathTemplate::parse(text, parsed), "");
  const RequestPath request(path);
  EXPECT_EQ(request.complaint(), "") << path;
  // What the index leaves out must not match.
  const PathMatch result = parsed.match(request);
  const bool is_left_out = parsed.first_hash() != 0 && parsed.first_hash() != request.first_hash();
  EXPECT_TRUE(!is_left_out || result == PathMatch::kNone) << text << " " << path;
  return result;
}

TEST(PolicyPath, templates_match_by_segment) {
  const struct {
    const char* text;
    const char* path;
    PathMatch match;
  } kCases[] = {
      {"/", "/", PathMatch::kExact},
      {"/", "/a", PathMatch::kNone},
      {"/mcp", "/mcp", PathMatch::kExact},
      {"/mcp", "/mcp2", PathMatch::kNone},
      {"/mcp", "/mc", PathMatch::kNone},
      {"/mcp", "/mcp/x", PathMatch::kNone},
      {"/mcp", "/mcp/", PathMatch::kLoose},
      {"/mcp/", "/mcp", PathMatch::kLoose},
      {"/mcp/", "/mcp/", PathMatch::kExact},
      {"/mcp", "/MCP", PathMatch::kLoose},
      {"/a/{id}", "/a/b", PathMatch::kExact},
      {"/a/{id}", "/a", PathMatch::kNone},
      {"/a/{id}", "/a/b/c", PathMatch::kNone},
      {"/a/{id}/c", "/a/B/c", PathMatch::kExact},
      {"/a/{id}/c", "/A/b/C", PathMatch::kLoose},
      {"/{any}", "/x", PathMatch::kExact},
      {"/**", "/", PathMatch::kExact},
      {"/**", "/a/b/", PathMatch::kExact},
      {"/a/**", "/a", PathMatch::kExact},
      {"/a/**", "/a/", PathMatch::kExact},
      {"/a/**", "/a/b/c", PathMatch::kExact},
      {"/a/**", "/ab", PathMatch::kNone},
      {"/a/**", "/A/b", PathMatch::kLoose},
      {"/users/@me", "/users/%40me", PathMatch::kExact},
      {"/users/{id}", "/users/Z%C3%BCrich", PathMatch::kExact},
      {"/a+b", "/a%2Bb", PathMatch::kExact},
      {"/a", "/a%20", PathMatch::kNone},
  };
  for (const auto& one : kCases)
    EXPECT_EQ(match(one.text, one.path), one.match) << one.text << " " << one.path;
}

TEST(PolicyPath, what_two_routers_could_read_differently_matches_no_rule) {
  const auto policy = policy_of(R"(
[[rule]]
name = "all"
effect = "allow"
methods = ["GET"]
paths = ["/**"])");
  EXPECT_EQ(effect_of(*policy, request("GET", "/a/b"), token()), Effect::kAllow);
  const std::string nul("/a\0b", 4);
  for (const std::string& path : {std::string(),
                                  std::string("a"),
                                  std::string("*"),
                                  std::string("http://x/a"),
                                  std::string("//a"),
                                  std::string("/a//b"),
                                  std::string("/a/b//"),
                                  std::string("/."),
                                  std::string("/.."),
                                  std::string("/a/./b"),
                                  std::string("/a/../b"),
                                  std::string("/a/.."),
                                  std::string("/a/%2e%2e/b"),
                                  std::string("/a/%2E./b"),
                                  std::string("/a%2fb"),
                                  std::string("/a%2Fb"),
                                  std::string("/a%5cb"),
                                  std::string("/a\\b"),
                                  std::string("/a%00b"),
                                  nul,
                                  std::string("/a%0ab"),
                                  std::string("/a\nb"),
                                  std::string("/a b"),
                                  std::string("/a\tb"),
                                  std::string("/a%7fb"),
                                  std::string("/\x7f"),
                                  std::string("/Z\xC3\xBCrich"),
                                  std::string("/%c0%ae"),
                                  std::string("/%c0%af"),
                                  std::string("/%FF"),
                                  std::string("/a%"),
                                  std::string("/a%2"),
                                  std::string("/a%zz"),
                                  std::string("/a%252e"),
                                  std::string("/a;b"),
                                  std::string("/a/..;/b"),
                                  std::string("/a%3bb"),
                                  std::string("/a?b"),
                                  std::string("/a%3Fb"),
                                  std::string("/a#b"),
                                  std::string("/a%23b"),
                                  std::string("/%61dmin"),
                                  std::string("/%41"),
                                  std::string("/a%2Db"),
                                  std::string("/%7Eme"),
                                  std::string("/\"a\""),
                                  std::string("/<a>"),
                                  std::string("/a|b"),
                                  std::string("/a^b"),
                                  std::string("/`a`"),
                                  std::string("/{a}"),
                                  "/" + std::string(9000, 'a')}) {
    const Decision decision = decide(*policy, request("GET", path), token());
    EXPECT_EQ(decision.effect, Effect::kDenied) << path;
    EXPECT_EQ(decision.rule, "") << path;
    EXPECT_FALSE(policy->needs_body("GET", path));
  }
  std::string deep;
  for (size_t i = 0; i < RequestPath::kMaxSegments; ++i) deep += "/a";
  EXPECT_EQ(effect_of(*policy, request("GET", deep), token()), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", deep + "/a"), token()), Effect::kDenied);
}

// Many routers take /ADMIN and /admin/ for /admin: a rule for /admin must not be passed by by writing it so.
TEST(PolicyPath, a_rule_is_not_passed_by_with_letter_case_or_a_last_slash) {
  const auto policy = policy_of(R"(
[[rule]]
name = "closed"
effect = "deny"
paths = ["/admin"]

[[rule]]
name = "guarded"
effect = "allow"
methods = ["GET"]
paths = ["/reports/{id}"]
scopes = ["reports"]

[[rule]]
name = "rest"
effect = "allow"
methods = ["GET"]
paths = ["/**"])");
  for (const char* path : {"/admin", "/ADMIN", "/admin/", "/aDmin/"})
    EXPECT_EQ(decide(*policy, request("GET", path), token()).rule, "closed") << path;
  EXPECT_EQ(effect_of(*policy, request("GET", "/reports/1"), token()), Effect::kInsufficientScope);
  for (const char* path : {"/Reports/1", "/reports/1/"}) {
    const Decision decision = decide(*policy, request("GET", path), token({"a"}, {"reports"}));
    EXPECT_EQ(decision.effect, Effect::kDenied) << path;
    EXPECT_EQ(decision.rule, "guarded") << path;
  }
  EXPECT_EQ(decide(*policy, request("GET", "/reports/1"), token({"a"}, {"reports"})).rule, "guarded");
  EXPECT_EQ(decide(*policy, request("GET", "/reportS"), token()).rule, "rest");
}

TEST(PolicyPath, a_rule_may_name_both_ways_of_writing) {
  const auto policy = policy_of(R"(
[[rule]]
name = "both"
effect = "allow"
methods = ["GET"]
paths = ["/week", "/week/"])");
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token()), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week/"), token()), Effect::kAllow);
}

TEST(PolicyPath, templates_that_could_never_be_met_are_faults) {
  for (const char* text : {"week", "", "/a//b", "/./a", "/..", "/a/**/b", "/a*", "/*", "/{id", "/{}",
                           "/x{id}", "/{id}.json", "/{a b}", "/a%20b", "/a;b", "/a b", "/\xC3\xBC"}) {
    PathTemplate parsed;
    EXPECT_NE(PathTemplate::parse(text, parsed), "") << text;
  }
}

TEST(PolicyPath, covers) {
  const auto covers = [](const char* one, const char* two) {
    PathTemplate first;
    PathTemplate second;
    EXPECT_EQ(PathTemplate::parse(one, first), "");
    EXPECT_EQ(PathTemplate::parse(two, second), "");
    return first.covers(second);
  };
  EXPECT_TRUE(covers("/**", "/a/{b}"));
  EXPECT_TRUE(covers("/a/**", "/a"));
  EXPECT_TRUE(covers("/a/{x}", "/a/b"));
  EXPECT_TRUE(covers("/a", "/a/"));
  EXPECT_TRUE(covers("/a/**", "/A/b/**"));
  EXPECT_FALSE(covers("/a/b", "/a/{x}"));
  EXPECT_FALSE(covers("/a/{x}", "/a/**"));
  EXPECT_FALSE(covers("/a/{x}/**", "/a/**"));
  EXPECT_FALSE(covers("/a", "/b"));
}

}  // namespace
}  // namespace behalf::sdk
