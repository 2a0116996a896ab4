#include "sdk/policy_coverage.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace behalf::sdk::rules {
namespace {

bool is_subset(const Names& small, const Names& large) {
  return std::includes(large.begin(), large.end(), small.begin(), small.end());
}

bool are_apart(const Names& one, const Names& two) {
  if (one.empty() || two.empty()) return false;
  Names both;
  std::set_intersection(one.begin(), one.end(), two.begin(), two.end(), std::back_inserter(both));
  return both.empty();
}

// True if whoever `narrow` is about, `wide` is about too.
bool is_about_all(const Who& wide, const Who& narrow) {
  const auto holds = [](const Names& condition, const Names& known) {
    return condition.empty() || (!known.empty() && is_subset(known, condition));
  };
  return (wide.actor == Presence::kEither || wide.actor == narrow.actor) &&
         holds(wide.actors, narrow.actors) && holds(wide.publishers, narrow.publishers) &&
         holds(wide.owners, narrow.owners) && holds(wide.statuses, narrow.statuses) &&
         holds(wide.persons, narrow.persons) && holds(wide.clients, narrow.clients) &&
         holds(wide.profiles, narrow.profiles);
}

// True if `rule` takes every call that `other` is about.
bool takes_calls_of(const Rule& rule, const Rule& other) {
  // A rule that looks at calls also decides where they are not known; one that does not look takes all.
  if (!rule.looks_at_calls()) return true;
  if (!other.looks_at_calls()) return false;
  Names methods = other.rpc_methods;
  if (!other.tools.empty()) std::erase(methods, "tools/call");
  for (const std::string& method : methods) {
    if (method == "tools/call" && !rule.tools.empty()) return false;
    if (!contains(rule.rpc_methods, method)) return false;
  }
  if (other.tools.empty()) return true;
  return rule.tools.empty() ? contains(rule.rpc_methods, "tools/call") : is_subset(other.tools, rule.tools);
}

// True if nothing that `rule` is about by all but method and path gets past `earlier`.
bool takes_the_rest_of(const Rule& earlier, const Rule& rule) {
  if (!earlier.hosts.empty() && (rule.hosts.empty() || !is_subset(rule.hosts, earlier.hosts))) return false;
  if (!takes_calls_of(earlier, rule)) return false;
  // Where the calls cannot be read, a rule that looks at them refuses whoever asks, also without a token.
  if (rule.looks_at_calls() && !earlier.about.is_anyone()) return false;
  if (earlier.is_allow) {
    // Without a token nobody is anybody, and `for` cannot hold.
    if (!earlier.about.is_anyone() && !rule.needs_token) return false;
    return is_about_all(earlier.about, rule.about);
  }
  if (!earlier.times.empty() || !earlier.chain_forbids.empty()) return false;
  if (!earlier.about.is_anyone() && !rule.needs_token) return false;
  return is_about_all(earlier.about, rule.about);
}

// The names of those earlier rules that together take all of `rule`; empty if something is left.
std::set<std::string> find_takers(const std::vector<Rule>& rules, size_t number) {
  const Rule& rule = rules[number];
  std::set<std::string> takers;
  std::vector<const Rule*> earlier;
  for (size_t i = 0; i < number; ++i) {
    if (takes_the_rest_of(rules[i], rule)) earlier.push_back(&rules[i]);
  }
  const Names methods = rule.methods.empty() ? Names{""} : rule.methods;
  for (const std::string& method : methods) {
    for (const PathTemplate& path : rule.paths) {
      const auto taker = std::find_if(earlier.begin(), earlier.end(), [&](const Rule* one) {
        const bool is_method = one->methods.empty() || (!method.empty() && contains(one->methods, method));
        return is_method && std::any_of(one->paths.begin(), one->paths.end(),
                                        [&](const PathTemplate& its) { return its.covers(path); });
      });
      if (taker == earlier.end()) return {};
      takers.insert((*taker)->name);
    }
  }
  return takers;
}

// What an allow rule asks for and can never get; empty: it makes sense.
std::string find_contradiction(const Rule& rule) {
  const Who& about = rule.about;
  const Who& needs = rule.needs;
  if (!rule.is_allow) return {};
  if (about.actor != Presence::kEither && needs.actor != Presence::kEither && about.actor != needs.actor)
    return "it is for requests " + std::string(about.actor == Presence::kPresent ? "with" : "without") +
           " an actor, and refuses those";
  const std::pair<const char*, Names Who::*> lists[] = {{"actors", &Who::actors},
                                                        {"publishers", &Who::publishers},
                                                        {"owners", &Who::owners},
                                                        {"statuses", &Who::statuses},
                                                        {"persons", &Who::persons},
                                                        {"clients", &Who::clients},
                                                        {"subject_profiles", &Who::profiles}};
  for (const auto& [key, list] : lists) {
    if (are_apart(about.*list, needs.*list)) return std::string("it is for ") + key + " that it then refuses";
  }
  const bool must_act = about.actor == Presence::kPresent || needs.actor == Presence::kPresent;
  if (must_act && rule.max_chain && *rule.max_chain == 0) return "an agent must act, and max_chain is 0";
  for (const Names* actors : {&about.actors, &needs.actors}) {
    if (actors->empty() || !must_act) continue;
    if (is_subset(*actors, rule.chain_forbids)) return "chain_forbids has all the actors it names";
    if (are_apart(*actors, rule.chain_only)) return "chain_only has none of the actors it names";
  }
  if (must_act && !rule.chain_only.empty() && is_subset(rule.chain_only, rule.chain_forbids))
    return "chain_forbids has all of chain_only";
  return {};
}

}  // namespace

std::vector<Policy::Fault> find_warnings(const RuleSet& set, const std::string& file) {
  std::vector<Policy::Fault> warnings;
  const auto warn = [&](size_t line, const std::string& what) {
    warnings.push_back({file + ":" + std::to_string(line) + ": " + what, line});
  };
  if (set.rules.empty()) warn(1, "there are no rules: everything is denied");
  for (size_t number = 0; number < set.rules.size(); ++number) {
    const Rule& rule = set.rules[number];
    if (const auto takers = find_takers(set.rules, number); !takers.empty()) {
      std::string names;
      for (const std::string& name : takers) names += (names.empty() ? "" : ", ") + name;
      warn(rule.line, "rule \"" + rule.name + "\" can never decide: " + names + " before it " +
                          (takers.size() == 1 ? "takes" : "take") + " all it is about");
    }
    if (const std::string what = find_contradiction(rule); !what.empty())
      warn(rule.line, "rule \"" + rule.name + "\" can never allow: " + what);
    for (const Limit& limit : rule.limits) {
      if (limit.per == Per::kActor && rule.needs.actor == Presence::kAbsent)
        warn(rule.line,
             "rule \"" + rule.name + "\" counts per actor, and lets none in: it counts per person");
    }
  }
  if (set.authzen && set.authzen->allows_on_failure)
    warn(1, "[authzen] on_failure = \"allow\": whoever silences the decision point is let in");
  std::stable_sort(warnings.begin(), warnings.end(),
                   [](const auto& one, const auto& two) { return one.line < two.line; });
  return warnings;
}

}  // namespace behalf::sdk::rules
