#include "sdk/policy_match.h"

#include <algorithm>
#include <map>

#include "sdk/policy_who.h"

namespace behalf::sdk::rules {
namespace {

bool takes_call(const Rule& rule, const RpcCall& call) {
  if (!rule.tools.empty() && call.method == "tools/call") return contains(rule.tools, call.tool);
  return contains(rule.rpc_methods, call.method);
}

bool is_at_time(const Rule& rule, Milliseconds now) {
  return rule.times.empty() || std::any_of(rule.times.begin(), rule.times.end(),
                                           [&](const TimeWindow& window) { return window.holds(now); });
}

// Members of the chain that `names` has; the outermost too, if it is to be looked at.
void collect(const Names& names, const Delegation& token, size_t first, std::vector<std::string>& found) {
  for (size_t i = first; i < token.chain.size() && !names.empty(); ++i) {
    const std::string& member = token.chain[i].subject;
    if (contains(names, member) && std::find(found.begin(), found.end(), member) == found.end())
      found.push_back(member);
  }
}

bool names_any(const Names& names, const Delegation& token) {
  return std::any_of(token.chain.begin(), token.chain.end(),
                     [&](const Hop& hop) { return contains(names, hop.subject); });
}

struct Refusal {
  Effect effect = Effect::kAllow;
  std::string detail;
};

Refusal check_chain(const Rule& rule, Question& question) {
  const Delegation& token = *question.delegation;
  const auto refuse = [](std::string detail) {
    return Refusal{Effect::kActorUnauthorized, std::move(detail)};
  };
  if (rule.max_chain && token.chain.size() > *rule.max_chain)
    return refuse("the chain has " + std::to_string(token.chain.size()) + " members, more than " +
                  std::to_string(*rule.max_chain));
  if (!rule.chain_forbids.empty() && names_any(rule.chain_forbids, token))
    return refuse("a member of the chain is forbidden");
  if (rule.chain_only.empty() && !rule.chain_known) return {};
  for (const Hop& hop : token.chain) {
    const bool is_own = token.is_own(hop);
    if (!rule.chain_only.empty() && !(is_own && contains(rule.chain_only, hop.subject)))
      return refuse("member " + token.name_of(hop) + " of the chain is not one of those named");
    if (!rule.chain_known) continue;
    const auto info = is_own && question.agents ? question.agents(hop.subject) : nullptr;
    if (info == nullptr || info->status != "active")
      return refuse("member " + token.name_of(hop) + " of the chain is " +
                    (info == nullptr ? "not known" : info->status));
  }
  return {};
}

Refusal check_sign_in(const Rule& rule, const Question& question) {
  const Delegation& token = *question.delegation;
  if (!rule.acr.empty() && std::find(rule.acr.begin(), rule.acr.end(), token.acr) == rule.acr.end())
    return {Effect::kStepUp, "acr is " + (token.acr.empty() ? "not known" : token.acr)};
  if (!rule.max_age) return {};
  if (!token.authenticated_at) return {Effect::kStepUp, "when the person signed in is not known"};
  if (*token.authenticated_at > question.now || question.now - *token.authenticated_at <= *rule.max_age)
    return {};
  return {Effect::kStepUp, "the person signed in " +
                               std::to_string((question.now - *token.authenticated_at) / 1000) +
                               " seconds ago, more than " + std::to_string(*rule.max_age / 1000)};
}

// All that an allow rule asks of a token, but for its limits. More scope helps only who may act at all, so
// scope comes after people and agents; signing in again comes last.
Refusal check_needs(const Rule& rule, Question& question) {
  if (const Part part = first_failing(rule.needs, question, Stance::kPermits); part != Part::kNone)
    return {effect_of(part), describe(part, question)};
  if (Refusal refusal = check_chain(rule, question); refusal.effect != Effect::kAllow) return refusal;
  if (!is_at_time(rule, question.now)) return {Effect::kDenied, "not at this time"};
  for (const std::string& scope : rule.scopes) {
    if (!question.delegation->has_scope(scope))
      return {Effect::kInsufficientScope, "scope " + scope + " is missing"};
  }
  return check_sign_in(rule, question);
}

// True if a deny rule is about who asks; `why` says what does not fit where it is not.
bool denies(const Rule& rule, Question& question, Judgement& judgement, std::string* why) {
  if (!is_at_time(rule, question.now)) {
    if (why != nullptr) *why = "not at this time";
    return false;
  }
  const bool names_people = !rule.about.is_anyone() || !rule.chain_forbids.empty();
  if (!names_people) return true;
  if (question.delegation == nullptr) {
    if (why != nullptr) *why = "no token says who asks";
    return false;
  }
  collect(rule.about.actors, *question.delegation, 1, judgement.forbidden_members);
  if (const Part part = first_failing(rule.about, question, Stance::kForbids); part != Part::kNone) {
    if (why != nullptr) *why = describe(part, question);
    return false;
  }
  if (rule.chain_forbids.empty()) return true;
  collect(rule.chain_forbids, *question.delegation, 0, judgement.forbidden_members);
  if (names_any(rule.chain_forbids, *question.delegation)) return true;
  if (why != nullptr) *why = "the chain has none of the members it forbids";
  return false;
}

// Why a rule is not about what is asked for.
std::string describe_miss(const Rule& rule, const Question& question) {
  if (!rule.hosts.empty() && !contains(rule.hosts, question.action.host)) return "another host";
  if (!rule.methods.empty() && !contains(rule.methods, question.action.method)) return "another method";
  const bool is_path = std::any_of(rule.paths.begin(), rule.paths.end(), [&](const PathTemplate& path) {
    return path.match(question.path) != PathMatch::kNone;
  });
  return is_path ? "another call" : "another path";
}

class Judge {
 public:
  Judge(const std::vector<Rule>& rules, Question& question, std::vector<Policy::Step>* steps)
      : rules_(rules), question_(question), steps_(steps) {}

  Judgement run(const Index::Method& method) {
    const auto& candidates = method.candidates;
    for (size_t i = 0; i < candidates.size();) {
      const uint32_t number = candidates[i].rule;
      const Rule& rule = rules_[number];
      PathMatch match = PathMatch::kNone;
      for (; i < candidates.size() && candidates[i].rule == number; ++i) {
        const auto& candidate = candidates[i];
        if (candidate.first_hash != 0 && candidate.first_hash != question_.path.first_hash()) continue;
        match = std::max(match, rule.paths[candidate.path].match(question_.path));
      }
      if (match == PathMatch::kNone) continue;
      if (!rule.hosts.empty() && !contains(rule.hosts, question_.action.host)) continue;
      if (rule.looks_at_calls() && question_.call != nullptr && !takes_call(rule, *question_.call)) continue;
      if (ask(rule, match)) return finish(number + 1);
    }
    judgement_.nearest = nearest_;
    if (question_.delegation == nullptr) {
      // Whatever is asked for: who has no token does not learn what the policy knows.
      judgement_.effect = Effect::kTokenMissing;
      judgement_.detail = "no rule lets in who has no token";
    } else if (nearest_ != nullptr) {
      judgement_.effect = near_effect_;
      judgement_.detail =
          "no rule is for who asks; of " + nearest_->name + ": " + describe(near_part_, question_);
    } else {
      judgement_.detail = "no rule is about this";
    }
    return finish(rules_.size());
  }

 private:
  // True if this rule decides.
  bool ask(const Rule& rule, PathMatch match) {
    if (rule.looks_at_calls() && question_.call == nullptr)
      return decide(rule, Effect::kDenied, "refuses", "the calls in the body are not known");
    if (!rule.is_allow) {
      std::string why;
      if (!denies(rule, question_, judgement_, steps_ == nullptr ? nullptr : &why))
        return pass(rule, std::move(why));
      // The pair of person and actor is judged: another agent might (Actor Profile: `actor_unauthorized`).
      const bool is_about_actor =
          rule.about.names_actor() || rule.about.actor != Presence::kEither || !rule.chain_forbids.empty();
      return decide(rule, is_about_actor ? Effect::kActorUnauthorized : Effect::kDenied, "denies",
                    "a deny rule");
    }
    if (rule.needs_token && question_.delegation == nullptr) {
      // Whom it is about cannot be told.
      if (!rule.about.is_anyone()) return miss(rule, Effect::kTokenMissing, Part::kNone);
      return decide(rule, Effect::kTokenMissing, "refuses", "a token is needed");
    }
    if (!rule.about.is_anyone()) {
      const Part part = first_failing(rule.about, question_, Stance::kPermits);
      if (part != Part::kNone) {
        // It may be for this agent, if the registry knew it: no wider rule below may let it in for that.
        if (first_failing(rule.about, question_, Stance::kForbids) == Part::kNone)
          return decide(rule, effect_of(part), "refuses", describe(part, question_));
        return miss(rule, effect_of(part), part);
      }
    }
    if (match == PathMatch::kLoose)
      return decide(rule, Effect::kDenied, "refuses", "the path differs by letter case or a last slash");
    Refusal refusal;
    if (rule.needs_token)
      refusal = check_needs(rule, question_);
    else if (!is_at_time(rule, question_.now))
      refusal = {Effect::kDenied, "not at this time"};
    if (refusal.effect == Effect::kAllow) return decide(rule, Effect::kAllow, "allows", {});
    if (question_.delegation != nullptr)
      collect(rule.chain_forbids, *question_.delegation, 0, judgement_.forbidden_members);
    return decide(rule, refusal.effect, "refuses", std::move(refusal.detail));
  }

  bool decide(const Rule& rule, Effect effect, const char* outcome, std::string detail) {
    judgement_.effect = effect;
    judgement_.rule = &rule;
    judgement_.detail = std::move(detail);
    if (steps_ != nullptr)
      note(rule, outcome, judgement_.detail.empty() ? "all conditions hold" : judgement_.detail);
    return true;
  }
  bool pass(const Rule& rule, std::string why) {
    if (steps_ != nullptr) note(rule, "not for this", std::move(why));
    return false;
  }
  // The answer, if no later rule has one: who comes nearest says what was missing.
  bool miss(const Rule& rule, Effect effect, Part part) {
    const auto detail = [&] {
      return question_.delegation == nullptr ? std::string("no token says who asks")
                                             : describe(part, question_);
    };
    if (steps_ != nullptr) note(rule, "not for this", detail());
    if (nearest_ != nullptr) return false;
    nearest_ = &rule;
    near_effect_ = effect;
    near_part_ = part;
    return false;
  }
  void note(const Rule& rule, const char* outcome, std::string why) {
    noted_.emplace(&rule, Policy::Step{rule.name, rule.line, outcome, std::move(why), {}});
  }
  // Puts the steps in order, with those rules between them that were not about the request at all.
  Judgement finish(size_t asked) {
    for (size_t i = 0; steps_ != nullptr && i < asked; ++i) {
      const Rule& rule = rules_[i];
      const auto found = noted_.find(&rule);
      steps_->push_back(
          found == noted_.end()
              ? Policy::Step{rule.name, rule.line, "no match", describe_miss(rule, question_), {}}
              : std::move(found->second));
    }
    return std::move(judgement_);
  }

  const std::vector<Rule>& rules_;
  Question& question_;
  std::vector<Policy::Step>* steps_;
  std::map<const Rule*, Policy::Step> noted_;
  Judgement judgement_;
  const Rule* nearest_ = nullptr;
  Effect near_effect_ = Effect::kDenied;
  Part near_part_ = Part::kNone;
};

}  // namespace

Index::Index(const std::vector<Rule>& rules) {
  std::vector<std::string> names;
  for (const Rule& rule : rules) names.insert(names.end(), rule.methods.begin(), rule.methods.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const auto fill = [&](Method& method) {
    for (uint32_t number = 0; number < rules.size(); ++number) {
      const Rule& rule = rules[number];
      if (!rule.methods.empty() && !contains(rule.methods, method.name)) continue;
      for (uint32_t path = 0; path < rule.paths.size(); ++path)
        method.candidates.push_back({number, path, rule.paths[path].first_hash()});
      method.has_calls = method.has_calls || rule.looks_at_calls();
    }
  };
  for (std::string& name : names) {
    methods_.push_back({std::move(name), {}, false});
    fill(methods_.back());
  }
  fill(others_);
}

const Index::Method& Index::of(std::string_view method) const {
  for (const Method& known : methods_) {
    if (known.name == method) return known;
  }
  return others_;
}

Judgement judge(const std::vector<Rule>& rules, const Index& index, Question& question,
                std::vector<Policy::Step>* steps) {
  return Judge(rules, question, steps).run(index.of(question.action.method));
}

}  // namespace behalf::sdk::rules
