// Which rule decides, and how: the resource's cases of the specification (§6.9, I-04 to I-14; §2.12) as far
// as a policy decides them.
#include "unit/sdk/policy_support.h"

namespace behalf::sdk {

// How a failing expectation says it.
void PrintTo(Effect effect, std::ostream* out) { *out << name_of(effect); }

namespace {

using namespace testing;

TEST(PolicyDecide, denies_what_no_rule_is_about) {
  const auto empty = policy_of("");
  EXPECT_EQ(effect_of(*empty, request("GET", "/"), token()), Effect::kDenied);
  const auto policy = policy_of(R"(
[[rule]]
name = "read"
effect = "allow"
methods = ["GET"]
paths = ["/week"])");
  const Decision decision = decide(*policy, request("GET", "/week"), token());
  EXPECT_EQ(decision.effect, Effect::kAllow);
  EXPECT_EQ(decision.rule, "read");
  EXPECT_EQ(decision.policy_version.size(), 12U);
  EXPECT_EQ(decision.policy_version, policy->version());
  const Decision other = decide(*policy, request("GET", "/month"), token());
  EXPECT_EQ(other.effect, Effect::kDenied);
  EXPECT_EQ(other.rule, "");
}

TEST(PolicyDecide, a_method_is_allowed_by_its_name_alone) {  // 256
  const auto policy = policy_of(R"(
[[rule]]
name = "read"
effect = "allow"
methods = ["GET", "POST"]
paths = ["/**"])");
  EXPECT_EQ(effect_of(*policy, request("GET", "/x"), token()), Effect::kAllow);
  for (const char* method : {"HEAD", "OPTIONS", "PROPFIND", "TRACE", "get", "Get", "GET ", "", "DELETE"})
    EXPECT_EQ(effect_of(*policy, request(method, "/x"), token()), Effect::kDenied) << method;
}

TEST(PolicyDecide, the_first_rule_that_is_about_a_request_decides) {
  const auto policy = policy_of(R"(
[[rule]]
name = "admin"
effect = "allow"
methods = ["GET"]
paths = ["/admin/**"]
scopes = ["admin"]

[[rule]]
name = "rest"
effect = "allow"
methods = ["GET"]
paths = ["/**"])");
  const Decision decision = decide(*policy, request("GET", "/admin/users"), token());
  EXPECT_EQ(decision.effect, Effect::kInsufficientScope) << "and the wider rule is not asked";
  EXPECT_EQ(decision.rule, "admin");
  EXPECT_EQ(effect_of(*policy, request("GET", "/users"), token()), Effect::kAllow);
}

// D-40, and the policy is no oracle (security 269).
TEST(PolicyDecide, without_a_token_the_answer_is_the_same_whatever_is_asked_for) {
  const auto policy = policy_of(R"(
[[rule]]
name = "write"
effect = "allow"
methods = ["POST"]
paths = ["/week"]
scopes = ["calendar.write"]

[[rule]]
name = "nobody"
effect = "deny"
paths = ["/closed"]
persons = ["alice"]

[[rule]]
name = "health"
effect = "allow"
methods = ["GET"]
paths = ["/health"]
token = "none")");
  const auto without = [&](const char* method, const char* path) {
    return policy->decide(request(method, path), nullptr, kNoon, {}, nullptr);
  };
  EXPECT_EQ(without("POST", "/week").effect, Effect::kTokenMissing);
  EXPECT_EQ(without("POST", "/week").scopes, std::vector<std::string>{"calendar.write"});
  EXPECT_EQ(without("POST", "/closed").effect, Effect::kTokenMissing);
  EXPECT_EQ(without("POST", "/nowhere").effect, Effect::kTokenMissing);
  EXPECT_EQ(without("GET", "/health").effect, Effect::kAllow);
  EXPECT_EQ(without("POST", "/health").effect, Effect::kTokenMissing);
  EXPECT_EQ(effect_of(*policy, request("GET", "/health"), token()), Effect::kAllow) << "a token does no harm";
}

TEST(PolicyDecide, missing_scope_names_all_that_is_needed) {  // I-04, D-39
  const auto policy = policy_of(R"(
[[rule]]
name = "write"
effect = "allow"
methods = ["POST"]
paths = ["/week"]
scopes = ["calendar.write", "calendar.read"])");
  const Decision decision = decide(*policy, request("POST", "/week"), token());
  EXPECT_EQ(decision.effect, Effect::kInsufficientScope);
  EXPECT_EQ(decision.scopes, (std::vector<std::string>{"calendar.read", "calendar.write"}));
  EXPECT_EQ(effect_of(*policy, request("POST", "/week"), token({"a"}, {"calendar.write", "calendar.read"})),
            Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("POST", "/week"), token({"a"}, {"calendar.write2", "calendar.read"})),
            Effect::kInsufficientScope);
}

TEST(PolicyDecide, an_agent_that_must_act_and_does_not) {  // I-06, D-41
  const auto policy = policy_of(R"(
[[rule]]
name = "agents"
effect = "allow"
methods = ["GET"]
paths = ["/agents"]
actor = "required"

[[rule]]
name = "people"
effect = "allow"
methods = ["GET"]
paths = ["/people"]
actor = "forbidden"

[[rule]]
name = "either"
effect = "allow"
methods = ["GET"]
paths = ["/either"]
actor = "optional"
actors = ["agent-calendar"])");
  EXPECT_EQ(effect_of(*policy, request("GET", "/agents"), token({})), Effect::kActorMissing);
  EXPECT_EQ(effect_of(*policy, request("GET", "/agents"), token()), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/people"), token({})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/people"), token()), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/either"), token({})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/either"), token()), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/either"), token({"other"})), Effect::kActorUnauthorized);
}

constexpr const char* kOneAgent = R"(
[[rule]]
name = "one"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
actors = ["agent-calendar"]
scopes = ["calendar.read"])";

TEST(PolicyDecide, another_agent_is_unauthorized_and_more_scope_would_not_help) {  // I-07, D-41
  const auto policy = policy_of(kOneAgent);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token()), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-mail"})), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-mail"}, {})),
            Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({})), Effect::kActorMissing)
      << "who names agents means agents";
}

TEST(PolicyDecide, an_inner_member_permits_nothing) {  // I-09, D-71
  const auto policy = policy_of(kOneAgent);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-mail", "agent-calendar"})),
            Effect::kActorUnauthorized);
}

TEST(PolicyDecide, an_inner_member_that_is_forbidden_as_actor_is_noted) {  // I-10, D-71
  const auto policy = policy_of(std::string(R"(
[[rule]]
name = "not-mail"
effect = "deny"
actors = ["agent-mail"])") + kOneAgent);
  const Decision decision = decide(*policy, request("GET", "/week"), token({"agent-calendar", "agent-mail"}));
  EXPECT_EQ(decision.effect, Effect::kAllow);
  EXPECT_EQ(decision.forbidden_members, std::vector<std::string>{"agent-mail"});
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-mail"})), Effect::kActorUnauthorized);
}

TEST(PolicyDecide, a_member_forbids_where_a_rule_says_so) {  // 262
  for (const char* text : {R"(
[[rule]]
name = "never-mail"
effect = "deny"
chain_forbids = ["agent-mail"]

[[rule]]
name = "week"
effect = "allow"
methods = ["GET"]
paths = ["/week"])",
                           R"(
[[rule]]
name = "week"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
chain_forbids = ["agent-mail"])"}) {
    const auto policy = policy_of(text);
    EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-calendar", "agent-files"})),
              Effect::kAllow);
    for (const auto& chain : {std::vector<std::string>{"agent-mail"},
                              {"agent-calendar", "agent-mail"},
                              {"agent-calendar", "x", "agent-mail"}}) {
      const Decision decision = decide(*policy, request("GET", "/week"), token(chain));
      EXPECT_EQ(decision.effect, Effect::kActorUnauthorized);
      EXPECT_EQ(decision.forbidden_members, std::vector<std::string>{"agent-mail"});
    }
  }
}

TEST(PolicyDecide, a_chain_may_be_too_long_or_have_strangers) {  // 262
  const auto policy = policy_of(R"(
[[rule]]
name = "short"
effect = "allow"
methods = ["GET"]
paths = ["/short"]
max_chain = 2

[[rule]]
name = "direct"
effect = "allow"
methods = ["GET"]
paths = ["/direct"]
max_chain = 0

[[rule]]
name = "only"
effect = "allow"
methods = ["GET"]
paths = ["/only"]
chain_only = ["a", "b"]

[[rule]]
name = "known"
effect = "allow"
methods = ["GET"]
paths = ["/known"]
chain_known = true)");
  EXPECT_EQ(effect_of(*policy, request("GET", "/short"), token({"a", "b"})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/short"), token({"a", "b", "c"})), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/direct"), token({})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/direct"), token({"a"})), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/only"), token({"a", "b"})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/only"), token({"a", "c"})), Effect::kActorUnauthorized);
  Delegation foreign = token({"a", "b"});
  foreign.chain[1].issuer = "https://other.example";
  EXPECT_EQ(effect_of(*policy, request("GET", "/only"), foreign), Effect::kActorUnauthorized);
  const AgentLookup agents = registry({{"a", "A", "", "", "active"}, {"s", "S", "", "", "suspended"}});
  const auto known = [&](std::vector<std::string> chain) {
    const Delegation delegation = token(std::move(chain));
    return policy->decide(request("GET", "/known"), &delegation, kNoon, agents, nullptr).effect;
  };
  EXPECT_EQ(known({"a"}), Effect::kAllow);
  EXPECT_EQ(known({"a", "b"}), Effect::kActorUnauthorized);
  EXPECT_EQ(known({"a", "s"}), Effect::kActorUnauthorized);
}

TEST(PolicyDecide, a_pair_of_person_and_agent_can_be_denied) {  // I-11
  const auto policy = policy_of(R"(
[[rule]]
name = "not-this-pair"
effect = "deny"
persons = ["alice"]
actors = ["agent-mail"]

[[rule]]
name = "week"
effect = "allow"
methods = ["GET"]
paths = ["/week"])");
  Delegation bob = token({"agent-mail"});
  bob.subject = "bob";
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-mail"})), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({"agent-calendar"})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token({})), Effect::kAllow);
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), bob), Effect::kAllow);
}

TEST(PolicyDecide, step_up_says_what_sign_in_is_needed) {  // I-14, D-43
  const auto policy = policy_of(R"(
[[rule]]
name = "pay"
effect = "allow"
methods = ["POST"]
paths = ["/pay"]
acr = ["urn:x:mfa", "urn:x:hardware"]
max_age = "5m")");
  Delegation delegation = token();
  Decision decision = decide(*policy, request("POST", "/pay"), delegation);
  EXPECT_EQ(decision.effect, Effect::kStepUp);
  EXPECT_EQ(decision.acr, "urn:x:mfa urn:x:hardware");
  EXPECT_EQ(decision.max_age, 300);
  delegation.acr = "urn:x:hardware";
  EXPECT_EQ(effect_of(*policy, request("POST", "/pay"), delegation), Effect::kStepUp) << "no auth_time";
  delegation.authenticated_at = kNoon - 300'000;
  EXPECT_EQ(effect_of(*policy, request("POST", "/pay"), delegation), Effect::kAllow);
  delegation.authenticated_at = kNoon - 300'001;
  EXPECT_EQ(effect_of(*policy, request("POST", "/pay"), delegation), Effect::kStepUp);
  delegation.authenticated_at = kNoon;
  delegation.acr = "urn:x:mf";
  EXPECT_EQ(effect_of(*policy, request("POST", "/pay"), delegation), Effect::kStepUp);
}

TEST(PolicyDecide, persons_clients_and_profiles) {
  const auto policy = policy_of(R"(
[[rule]]
name = "some"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
persons = ["alice", "carol"]
clients = ["planner"]
subject_profiles = ["user"])");
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), token()), Effect::kAllow);
  Delegation other = token();
  other.subject = "bob";
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), other), Effect::kDenied);
  other = token();
  other.client = "reader";
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), other), Effect::kDenied);
  other = token();
  other.subject_profile = "service";
  EXPECT_EQ(effect_of(*policy, request("GET", "/week"), other), Effect::kDenied);
}

TEST(PolicyDecide, what_the_registry_says_of_the_agent_counts_and_what_it_does_not_say_counts_against_it) {
  const auto policy = policy_of(R"(
[[rule]]
name = "not-evil"
effect = "deny"
paths = ["/open"]
publishers = ["evil.example"]

[[rule]]
name = "open"
effect = "allow"
methods = ["GET"]
paths = ["/open"]

[[rule]]
name = "week"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
publishers = ["good.example"]
owners = ["ops"]
statuses = ["active"])");
  const AgentLookup agents = registry({{"good", "G", "good.example", "ops", "active"},
                                       {"evil", "E", "evil.example", "ops", "active"},
                                       {"stopped", "S", "good.example", "ops", "suspended"},
                                       {"foreign-owner", "F", "good.example", "dev", "active"}});
  const auto ask = [&](const char* path, Delegation delegation) {
    return policy->decide(request("GET", path), &delegation, kNoon, agents, nullptr).effect;
  };
  EXPECT_EQ(ask("/week", token({"good"})), Effect::kAllow);
  for (const char* id : {"evil", "stopped", "foreign-owner", "unknown"})
    EXPECT_EQ(ask("/week", token({id})), Effect::kActorUnauthorized) << id;
  EXPECT_EQ(ask("/week", token({})), Effect::kActorMissing);
  EXPECT_EQ(ask("/open", token({"good"})), Effect::kAllow);
  EXPECT_EQ(ask("/open", token({"evil"})), Effect::kActorUnauthorized);
  EXPECT_EQ(ask("/open", token({"unknown"})), Effect::kActorUnauthorized)
      << "it may be the denied publisher's";
  EXPECT_EQ(ask("/open", token({})), Effect::kAllow) << "nobody's agent";
  // The registry speaks of this issuer's agents; another issuer's with the same id is somebody else.
  Delegation foreign = token({"good"});
  foreign.chain[0].issuer = "https://other.example";
  EXPECT_EQ(ask("/week", foreign), Effect::kActorUnauthorized);
  EXPECT_EQ(effect_of(*policy_of(kOneAgent), request("GET", "/week"), token({"agent-calendar"})),
            Effect::kAllow);
  foreign = token({"agent-calendar"});
  foreign.chain[0].issuer = "https://other.example";
  EXPECT_EQ(effect_of(*policy_of(kOneAgent), request("GET", "/week"), foreign), Effect::kActorUnauthorized);
}

TEST(PolicyDecide, for_says_whom_a_rule_is_about_and_others_go_on) {
  const auto policy = policy_of(R"(
[[rule]]
name = "calendar"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
for = { actors = ["agent-calendar"] }
scopes = ["calendar.read"]

[[rule]]
name = "people"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
for = { actor = "absent" }
scopes = ["calendar.own"])");
  EXPECT_EQ(decide(*policy, request("GET", "/week"), token()).rule, "calendar");
  EXPECT_EQ(decide(*policy, request("GET", "/week"), token({}, {"calendar.own"})).rule, "people");
  EXPECT_EQ(decide(*policy, request("GET", "/week"), token({}, {})).scopes,
            std::vector<std::string>{"calendar.own"});
  const Decision other = decide(*policy, request("GET", "/week"), token({"agent-mail"}));
  EXPECT_EQ(other.effect, Effect::kActorUnauthorized);
  EXPECT_EQ(other.rule, "") << "no rule decided";
  const Decision without = policy->decide(request("GET", "/week"), nullptr, kNoon, {}, nullptr);
  EXPECT_EQ(without.effect, Effect::kTokenMissing);
}

TEST(PolicyDecide, whom_a_rule_is_for_must_be_known_before_a_later_one_is_asked) {
  const auto policy = policy_of(R"(
[[rule]]
name = "partners"
effect = "allow"
methods = ["GET"]
paths = ["/week"]
for = { publishers = ["partner.example"], persons = ["alice"] }
scopes = ["partner"]

[[rule]]
name = "rest"
effect = "allow"
methods = ["GET"]
paths = ["/week"])");
  const AgentLookup agents =
      registry({{"a", "A", "partner.example", "", "active"}, {"b", "B", "other.example", "", "active"}});
  const auto rule_for = [&](const char* id, const char* person, const AgentLookup& lookup) {
    Delegation delegation = token({id});
    delegation.subject = person;
    const Decision decision = policy->decide(request("GET", "/week"), &delegation, kNoon, lookup, nullptr);
    return decision.rule + " " + std::string(name_of(decision.effect));
  };
  EXPECT_EQ(rule_for("a", "alice", agents), "partners insufficient_scope");
  EXPECT_EQ(rule_for("b", "alice", agents), "rest allow");
  EXPECT_EQ(rule_for("c", "alice", agents), "partners actor_unauthorized") << "it may be a partner's";
  EXPECT_EQ(rule_for("a", "alice", {}), "partners actor_unauthorized") << "no registry";
  EXPECT_EQ(rule_for("c", "bob", agents), "rest allow") << "not for bob, whoever acts";
}

TEST(PolicyDecide, hosts_come_from_the_configuration) {
  const auto policy = policy_of(R"(
[[rule]]
name = "one"
effect = "allow"
methods = ["GET"]
paths = ["/**"]
hosts = ["api.example"])");
  Action action = request("GET", "/x");
  EXPECT_EQ(effect_of(*policy, action, token()), Effect::kAllow);
  for (const char* host : {"API.example", "api.example.", "", "other.example"}) {
    action.host = host;
    EXPECT_EQ(effect_of(*policy, action, token()), Effect::kDenied) << host;
  }
}

TEST(PolicyDecide, times_of_the_week) {
  const auto policy = policy_of(R"(
[[rule]]
name = "no-lunch"
effect = "deny"
paths = ["/desk"]
times = { from = "12:00", to = "13:00", offset = "+01:00" }

[[rule]]
name = "office"
effect = "allow"
methods = ["GET"]
paths = ["/desk"]
times = [{ days = ["mon", "tue", "wed"], from = "08:00", to = "18:00", offset = "+01:00" },
         { days = ["wed"], from = "22:00", to = "02:00" }])");
  const auto at = [&](int64_t minutes_from_noon) {
    const Delegation delegation = token();
    return policy
        ->decide(request("GET", "/desk"), &delegation, kNoon + minutes_from_noon * 60'000, {}, nullptr)
        .effect;
  };
  EXPECT_EQ(at(0), Effect::kAllow);             // Wednesday 13:00 there
  EXPECT_EQ(at(-1), Effect::kDenied);           // lunch
  EXPECT_EQ(at(-60), Effect::kDenied);          // lunch begins
  EXPECT_EQ(at(-61), Effect::kAllow);           // 11:59
  EXPECT_EQ(at(-5 * 60), Effect::kAllow);       // 08:00
  EXPECT_EQ(at(-5 * 60 - 1), Effect::kDenied);  // 07:59
  EXPECT_EQ(at(5 * 60 - 1), Effect::kAllow);    // 17:59
  EXPECT_EQ(at(5 * 60), Effect::kDenied);       // 18:00
  EXPECT_EQ(at(10 * 60), Effect::kAllow);       // 22:00 UTC
  EXPECT_EQ(at(13 * 60 + 59), Effect::kAllow);  // Thursday 01:59, the night that began on Wednesday
  EXPECT_EQ(at(14 * 60), Effect::kDenied);      // Thursday 02:00
  EXPECT_EQ(at(24 * 60), Effect::kDenied);      // Thursday
  EXPECT_EQ(at(-14 * 60 + 24 * 60 * 7 - 24 * 60 * 7),
            Effect::kDenied);  // Tuesday 22:00: the night is Wednesday's
}

TEST(PolicyDecide, the_external_point_is_wanted_where_a_rule_does_not_say_no) {
  const auto policy = policy_of(R"(
[authzen]
url = "https://pdp.example/access/v1/evaluation"

[[rule]]
name = "plain"
effect = "allow"
methods = ["GET"]
paths = ["/plain"]
authzen = false

[[rule]]
name = "week"
effect = "allow"
methods = ["GET"]
paths = ["/week"])");
  ASSERT_NE(policy->authzen(), nullptr);
  EXPECT_EQ(policy->authzen()->timeout, 200);
  EXPECT_FALSE(policy->authzen()->allows_on_failure);
  EXPECT_TRUE(decide(*policy, request("GET", "/week"), token()).needs_external);
  EXPECT_FALSE(decide(*policy, request("GET", "/plain"), token()).needs_external);
  EXPECT_FALSE(decide(*policy, request("GET", "/none"), token()).needs_external);
}

}  // namespace
}  // namespace behalf::sdk
