// What holds for every policy: small random ones, asked small random things from a world where names meet
// often.
#include <rapidcheck.h>

#include <algorithm>
#include <optional>

#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

std::string quoted(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) list += (list.size() > 1 ? ", \"" : "\"") + text + "\"";
  return list + "]";
}

// Below `count`, whatever the size of the case is at which rapidcheck is.
int below(int count) { return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, count)); }
bool one_in(int count) { return below(count) == 0; }
const std::string& one_of(const std::vector<std::string>& texts) {
  return texts[static_cast<size_t>(below(static_cast<int>(texts.size())))];
}

// Some of them, at least one.
std::vector<std::string> some_of(const std::vector<std::string>& texts) {
  std::vector<std::string> chosen;
  for (const std::string& text : texts) {
    if (one_in(2)) chosen.push_back(text);
  }
  if (chosen.empty()) chosen.push_back(one_of(texts));
  return chosen;
}

const std::vector<std::string> kTemplates = {"/a",     "/a/{x}", "/a/**",  "/**",
                                             "/b/{x}", "/b/c",   "/{x}/c", "/a/"};
const std::vector<std::string> kPaths = {"/a",   "/a/b", "/a/",   "/A",     "/b/c",
                                         "/b/d", "/c",   "/a//b", "/a/%2e", "/"};
const std::vector<std::string> kAgents = {"a1", "a2", "a3", "a4"};
const std::vector<std::string> kPublishers = {"pub1", "pub2"};
const std::vector<std::string> kPersons = {"p1", "p2"};
const std::vector<std::string> kScopes = {"s1", "s2"};
const std::vector<std::string> kTools = {"t1", "t2", "t3"};

std::string people(const char* separator) {
  std::string text;
  if (one_in(5)) text += "actors = " + quoted(some_of(kAgents)) + separator;
  if (one_in(6)) text += "publishers = " + quoted(some_of(kPublishers)) + separator;
  if (one_in(5)) text += "persons = " + quoted(some_of(kPersons)) + separator;
  return text;
}

std::string random_rule(const std::string& name, bool is_allow) {
  std::string text = "[[rule]]\nname = \"" + name + "\"\npaths = " + quoted(some_of(kTemplates)) + "\n";
  if (is_allow || one_in(2)) text += "methods = " + quoted(some_of({"GET", "POST"})) + "\n";
  if (one_in(5)) text += "tools = " + quoted(some_of(kTools)) + "\n";
  if (one_in(6)) text += "rpc_methods = " + quoted(some_of({"tools/list", "tools/call"})) + "\n";
  if (!is_allow) {
    text += "effect = \"deny\"\n";
    while (text.ends_with("\"deny\"\n")) text += people("\n");
    if (one_in(4)) text += "chain_forbids = " + quoted(some_of(kAgents)) + "\n";
    return text;
  }
  text += "effect = \"allow\"\n";
  if (one_in(8)) return text + "token = \"none\"\n";
  if (one_in(3)) {
    std::string inner = people(", ");
    if (!inner.empty()) text += "for = { " + inner.substr(0, inner.size() - 2) + " }\n";
  }
  text += people("\n");
  if (text.find("\nactors") == std::string::npos && text.find("\npublishers") == std::string::npos &&
      one_in(3))
    text += std::string("actor = \"") + (one_in(2) ? "required" : "forbidden") + "\"\n";
  if (one_in(3)) text += "scopes = " + quoted(some_of(kScopes)) + "\n";
  if (one_in(8)) text += "chain_forbids = " + quoted(some_of(kAgents)) + "\n";
  if (one_in(8)) text += "chain_only = " + quoted(some_of(kAgents)) + "\n";
  if (one_in(8)) text += "chain_known = true\n";
  if (one_in(8)) text += "max_chain = " + std::to_string(below(4)) + "\n";
  return text;
}

std::string random_rules() {
  std::string text;
  const int count = 1 + below(6);
  for (int i = 0; i < count; ++i) text += random_rule("r" + std::to_string(i), !one_in(3));
  return text;
}

RpcCall random_call() {
  const int kind = below(5);
  if (kind == 0) return {"tools/list", {}};
  return {"tools/call", kind == 4 ? "t9" : kTools[static_cast<size_t>(kind - 1)]};
}

Action random_action() {
  Action action = request(one_of({"GET", "POST", "PUT"}), one_of(kPaths));
  if (one_in(2)) action.calls = std::vector<RpcCall>{random_call()};
  return action;
}

Delegation random_token() {
  std::vector<std::string> chain;
  const int members = below(4);
  for (int i = 0; i < members; ++i) chain.push_back(one_of(kAgents));
  Delegation delegation = token(chain, {});
  for (const std::string& scope : kScopes) {
    if (one_in(2)) delegation.scopes.push_back(scope);
  }
  delegation.subject = one_of(kPersons);
  for (Hop& hop : delegation.chain) {
    if (one_in(8)) hop.issuer = "https://other.example";
  }
  return delegation;
}

AgentLookup random_registry() {
  std::vector<AgentInfo> agents;
  for (const std::string& id : kAgents) {
    if (one_in(4)) continue;
    agents.push_back({id, id, one_of(kPublishers), "", one_in(4) ? "suspended" : "active"});
  }
  return registry(std::move(agents));
}

struct World {
  std::string rules = random_rules();
  std::shared_ptr<const Policy> policy = policy_of(rules);
  Action action = random_action();
  std::optional<Delegation> delegation = one_in(8) ? std::nullopt : std::optional(random_token());
  AgentLookup agents = random_registry();

  Decision decide(const Policy& by) const { return decide(by, delegation); }
  Decision decide(const Policy& by, const std::optional<Delegation>& who) const {
    return by.decide(action, who ? &*who : nullptr, kNoon, agents, nullptr);
  }
};

void check(const char* what, const std::function<void()>& property) {
  // A property is cheap, a case of rapidcheck is not.
  EXPECT_TRUE(rc::check(what, [&] {
    for (int i = 0; i < 20; ++i) property();
  })) << what;
}

TEST(PolicyProperties, only_an_allow_rule_that_is_named_allows) {
  int allowed = 0;
  check("deny by default", [&] {
    const World world;
    const Decision decision = world.decide(*world.policy);
    if (!decision.allowed()) return;
    ++allowed;
    const size_t at = world.rules.find("name = \"" + decision.rule + "\"");
    RC_ASSERT(!decision.rule.empty());
    RC_ASSERT(at != std::string::npos);
    const size_t end = world.rules.find("[[rule]]", at);
    RC_ASSERT(world.rules.substr(at, end - at).find("effect = \"allow\"") != std::string::npos);
    if (!world.delegation)
      RC_ASSERT(world.rules.substr(at, end - at).find("token = \"none\"") != std::string::npos);
  });
  EXPECT_GT(allowed, 100) << "of 2000: a world where hardly anything is allowed shows little";
}

TEST(PolicyProperties, a_deny_rule_in_front_allows_nothing_more) {
  check("a deny rule in front", [] {
    const World world;
    const auto stricter = policy_of(random_rule("front", false) + world.rules);
    if (world.decide(*stricter).allowed()) RC_ASSERT(world.decide(*world.policy).allowed());
  });
}

TEST(PolicyProperties, an_inner_member_never_lets_in) {
  check("inner members", [] {
    const World world;
    if (!world.delegation || world.delegation->chain.empty()) return;
    Delegation longer = *world.delegation;
    const size_t at = static_cast<size_t>(1 + below(static_cast<int>(longer.chain.size())));
    longer.chain.insert(longer.chain.begin() + static_cast<std::ptrdiff_t>(at),
                        Hop{longer.issuer, one_of(kAgents), "ai_agent", {}});
    if (world.decide(*world.policy, longer).allowed()) RC_ASSERT(world.decide(*world.policy).allowed());
  });
}

TEST(PolicyProperties, less_scope_allows_nothing_more) {
  check("scope", [] {
    const World world;
    if (!world.delegation || world.delegation->scopes.empty()) return;
    Delegation less = *world.delegation;
    less.scopes.pop_back();
    if (world.decide(*world.policy, less).allowed()) RC_ASSERT(world.decide(*world.policy).allowed());
  });
}

TEST(PolicyProperties, knowing_less_of_agents_allows_nothing_more) {
  check("registry", [] {
    World world;
    const bool is_allowed = world.decide(*world.policy).allowed();
    world.agents = {};
    if (world.decide(*world.policy).allowed()) RC_ASSERT(is_allowed);
  });
}

TEST(PolicyProperties, a_body_that_was_not_read_allows_nothing_more) {
  check("body", [] {
    World world;
    if (!world.action.calls) return;
    const bool is_allowed = world.decide(*world.policy).allowed();
    world.action.calls.reset();
    if (world.decide(*world.policy).allowed()) RC_ASSERT(is_allowed);
  });
}

TEST(PolicyProperties, a_batch_is_allowed_exactly_if_each_of_its_calls_is) {
  check("batch", [] {
    World world;
    world.action.calls.emplace();
    const int count = 1 + below(4);
    for (int i = 0; i < count; ++i) world.action.calls->push_back(random_call());
    bool each = true;
    for (const RpcCall& call : *world.action.calls) {
      World alone = world;
      alone.action.calls = std::vector<RpcCall>{call};
      each = each && alone.decide(*world.policy).allowed();
    }
    RC_ASSERT(world.decide(*world.policy).allowed() == each);
  });
}

TEST(PolicyProperties, the_steps_tell_the_decision) {
  check("explain", [] {
    const World world;
    const Delegation* who = world.delegation ? &*world.delegation : nullptr;
    const Decision decided = world.decide(*world.policy);
    std::vector<Policy::Step> steps;
    const Decision traced = world.policy->trace(world.action, who, kNoon, world.agents, steps);
    RC_ASSERT(traced.effect == decided.effect);
    RC_ASSERT(traced.rule == decided.rule);
    RC_ASSERT(traced.detail == decided.detail);
    RC_ASSERT(traced.scopes == decided.scopes);
    RC_ASSERT(traced.forbidden_members == decided.forbidden_members);
    const auto decides = [](const Policy::Step& step) {
      return step.outcome != "no match" && step.outcome != "not for this";
    };
    const auto decider = std::find_if(steps.begin(), steps.end(), decides);
    RC_ASSERT((decider == steps.end() ? std::string() : decider->rule) == decided.rule);
    RC_ASSERT(std::count_if(steps.begin(), steps.end(), decides) == (decided.rule.empty() ? 0 : 1));
    if (decider != steps.end()) RC_ASSERT((decider->outcome == "allows") == decided.allowed());
    const std::string text = world.policy->explain(world.action, who, kNoon, world.agents);
    RC_ASSERT(text.find("decision: " + std::string(name_of(decided.effect))) != std::string::npos);
  });
}

TEST(PolicyProperties, what_is_said_never_to_decide_never_does) {
  check("coverage", [] {
    const World world;
    const auto warnings = world.policy->warnings();
    const std::string rule = world.decide(*world.policy).rule;
    const bool is_allowed = world.decide(*world.policy).allowed();
    for (const auto& warning : warnings) {
      RC_ASSERT(rule.empty() ||
                warning.text.find("rule \"" + rule + "\" can never decide") == std::string::npos);
      RC_ASSERT(!is_allowed ||
                warning.text.find("rule \"" + rule + "\" can never allow") == std::string::npos);
    }
  });
}

TEST(PolicyProperties, needs_body_says_where_calls_matter) {
  check("needs_body", [] {
    World world;
    if (world.policy->needs_body(world.action.method, world.action.path)) return;
    const Decision one = world.decide(*world.policy);
    world.action.calls.reset();
    const Decision other = world.decide(*world.policy);
    RC_ASSERT(one.effect == other.effect && one.rule == other.rule);
  });
}

}  // namespace
}  // namespace behalf::sdk
