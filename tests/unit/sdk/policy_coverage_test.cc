// What `behalf guard check` warns of, and what it leaves in peace; and explanations in words.
#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

std::string allow(const std::string& name, const std::string& paths, const std::string& more = {},
                  const std::string& methods = "[\"GET\"]") {
  return "[[rule]]\nname = \"" + name + "\"\neffect = \"allow\"\nmethods = " + methods +
         "\npaths = " + paths + "\n" + more + "\n";
}
std::string deny(const std::string& name, const std::string& more) {
  return "[[rule]]\nname = \"" + name + "\"\neffect = \"deny\"\n" + more + "\n";
}

std::vector<std::string> warnings_of(const std::string& text) {
  std::vector<std::string> texts;
  for (const auto& warning : policy_of(text)->warnings()) texts.push_back(warning.text);
  return texts;
}

TEST(PolicyCoverage, rules_that_can_never_decide) {
  EXPECT_EQ(warnings_of(allow("all", "[\"/**\"]") + allow("one", "[\"/a\"]")),
            std::vector<std::string>{
                "policy.toml:7: rule \"one\" can never decide: all before it takes all it is about"});
  EXPECT_EQ(
      warnings_of(allow("a", "[\"/a/**\"]") + allow("b", "[\"/b\"]") + allow("both", "[\"/a/{x}\", \"/b\"]")),
      std::vector<std::string>{
          "policy.toml:13: rule \"both\" can never decide: a, b before it take all it is about"});
  const std::vector<std::string> covered = {
      deny("none", "") + allow("x", "[\"/a\"]"),
      deny("a", "paths = [\"/a/**\"]") + allow("x", "[\"/a/b\"]", "scopes = [\"s\"]"),
      deny("bob", "persons = [\"bob\", \"eve\"]") + allow("x", "[\"/a\"]", "for = { persons = [\"bob\"] }"),
      allow("some", "[\"/a\"]", "for = { actors = [\"a\", \"b\"] }") +
          allow("x", "[\"/a\"]", "for = { actors = [\"b\"] }"),
      allow("agents", "[\"/a\"]", "for = { actor = \"present\" }") +
          allow("x", "[\"/a\"]", "for = { actors = [\"b\"] }"),
      allow("any", "[\"/mcp\"]", "", "[\"POST\"]") +
          allow("x", "[\"/mcp\"]", "tools = [\"t\"]", "[\"POST\"]"),
      allow("calls", "[\"/mcp\"]", "rpc_methods = [\"tools/call\"]", "[\"POST\"]") +
          allow("x", "[\"/mcp\"]", "tools = [\"t\"]", "[\"POST\"]"),
      allow("public", "[\"/a\"]", "token = \"none\"") + allow("x", "[\"/a\"]", "scopes = [\"s\"]"),
      allow("host", "[\"/a\"]", "hosts = [\"h\", \"i\"]") + allow("x", "[\"/a\"]", "hosts = [\"h\"]"),
      allow("case", "[\"/A\"]") + allow("x", "[\"/a/\"]"),
      allow("day", "[\"/a\"]", "times = { days = [\"mon\"] }") + allow("x", "[\"/a\"]"),
  };
  for (const std::string& text : covered) {
    const auto warnings = warnings_of(text);
    ASSERT_EQ(warnings.size(), 1U) << text;
    EXPECT_NE(warnings[0].find("rule \"x\" can never decide"), std::string::npos) << warnings[0];
  }
}

TEST(PolicyCoverage, rules_that_can_decide) {
  const std::vector<std::string> open = {
      allow("one", "[\"/a\"]") + allow("x", "[\"/**\"]"),
      allow("get", "[\"/**\"]") + allow("x", "[\"/a\"]", "", "[\"GET\", \"POST\"]"),
      allow("some", "[\"/**\"]", "for = { actors = [\"a\"] }") + allow("x", "[\"/a\"]"),
      allow("some", "[\"/**\"]", "for = { actors = [\"a\"] }") + allow("x", "[\"/a\"]", "token = \"none\""),
      allow("some", "[\"/**\"]", "for = { actors = [\"a\"] }") +
          allow("x", "[\"/a\"]", "for = { actors = [\"a\", \"b\"] }"),
      allow("some", "[\"/**\"]", "for = { actors = [\"a\"], persons = [\"p\"] }") +
          allow("x", "[\"/a\"]", "for = { actors = [\"a\"] }"),
      deny("bob", "persons = [\"bob\"]") + allow("x", "[\"/a\"]"),
      deny("night", "times = { from = \"22:00\", to = \"06:00\" }") + allow("x", "[\"/a\"]"),
      deny("chain", "chain_forbids = [\"a\"]") + allow("x", "[\"/a\"]"),
      deny("get", "methods = [\"GET\"]") + deny("x", ""),
      allow("t", "[\"/mcp\"]", "tools = [\"t\"]", "[\"POST\"]") +
          allow("x", "[\"/mcp\"]", "tools = [\"t\", \"u\"]", "[\"POST\"]"),
      allow("t", "[\"/mcp\"]", "tools = [\"t\"]", "[\"POST\"]") + allow("x", "[\"/mcp\"]", "", "[\"POST\"]"),
      allow("host", "[\"/a\"]", "hosts = [\"h\"]") + allow("x", "[\"/a\"]"),
  };
  for (const std::string& text : open) EXPECT_EQ(warnings_of(text), std::vector<std::string>{}) << text;
}

TEST(PolicyCoverage, conditions_that_no_request_can_meet) {
  for (const char* more :
       {"for = { actors = [\"a\"] }\nactors = [\"b\"]", "for = { persons = [\"a\"] }\npersons = [\"b\"]",
        "for = { actor = \"absent\" }\nactor = \"required\"",
        "for = { actors = [\"a\"] }\nactor = \"forbidden\"", "actor = \"required\"\nmax_chain = 0",
        "actors = [\"a\"]\nchain_forbids = [\"a\", \"b\"]", "actors = [\"a\"]\nchain_only = [\"b\"]",
        "actor = \"required\"\nchain_only = [\"b\"]\nchain_forbids = [\"b\"]"}) {
    const auto warnings = warnings_of(allow("x", "[\"/a\"]", more));
    ASSERT_EQ(warnings.size(), 1U) << more;
    EXPECT_NE(warnings[0].find("rule \"x\" can never allow"), std::string::npos) << warnings[0];
  }
  for (const char* more :
       {"actors = [\"a\", \"b\"]\nchain_forbids = [\"a\"]", "actor = \"optional\"\nmax_chain = 0",
        "actor = \"optional\"\nactors = [\"a\"]\nchain_forbids = [\"a\"]"})
    EXPECT_EQ(warnings_of(allow("x", "[\"/a\"]", more)), std::vector<std::string>{}) << more;
}

TEST(PolicyCoverage, other_doubts) {
  EXPECT_EQ(warnings_of("").size(), 1U);
  EXPECT_EQ(warnings_of("[authzen]\nurl = \"https://p/e\"\non_failure = \"allow\"\n" + allow("x", "[\"/a\"]"))
                .size(),
            1U);
  EXPECT_EQ(warnings_of(allow("x", "[\"/a\"]",
                              "actor = \"forbidden\"\nrate = { per = \"actor\", count = 1, every = \"1s\" }"))
                .size(),
            1U);
}

TEST(PolicyExplain, tells_rule_by_rule) {
  const auto policy =
      policy_of(deny("not-bob", "persons = [\"bob\"]") + allow("write", "[\"/week\"]", "", "[\"POST\"]") +
                allow("read", "[\"/week\"]", "scopes = [\"calendar.read\", \"x\"]"));
  const Delegation delegation = token();
  EXPECT_EQ(policy->explain(request("GET", "/week"), &delegation, kNoon, {}),
            "policy.toml:1: not-bob: not for this (person alice is not one of those named)\n"
            "policy.toml:5: write: no match (another method)\n"
            "policy.toml:11: read: refuses (scope x is missing)\n"
            "decision: insufficient_scope, by rule read: scope x is missing\n"
            "scopes needed: calendar.read x\n");
  EXPECT_EQ(policy->explain(request("GET", "/a/../b"), &delegation, kNoon, {}),
            "decision: denied, by no rule: the path is refused: it has a dot segment\n");
}

TEST(PolicyExplain, a_token_bound_to_a_key_is_not_let_in) {
  const auto policy = policy_of(allow("read", "[\"/week\"]", ""));
  Delegation delegation = token();
  delegation.is_bound = true;
  std::vector<Policy::Step> steps;
  EXPECT_EQ(policy->trace(request("GET", "/week"), &delegation, kNoon, {}, steps).effect, Effect::kDenied);
  EXPECT_NE(policy->explain(request("GET", "/week"), &delegation, kNoon, {})
                .find("decision: denied, by no rule: the access token is bound to a key"),
            std::string::npos);
}

TEST(PolicyExplain, lets_no_token_move_the_cursor) {
  const auto policy = policy_of(allow("read", "[\"/week\"]", "persons = [\"alice\"]"));
  Delegation delegation = token();
  delegation.subject = "x\x1b[2J\r\n";
  const std::string text = policy->explain(request("GET", "/week"), &delegation, kNoon, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

}  // namespace
}  // namespace behalf::sdk
