// One request, or one call of a batch, against the rules: which one decides, and how.
//
// 1. Rules are asked in order. A rule is about a request by method, host, path, call and (`for`; in a deny
// rule every
//    condition) by who asks. The first one that is about it decides: there is no going on after that.
// 2. What is not known does not hold for who is to be let in, and holds for who is to be kept out.
// 3. Whoever permits looks at the top of the token and the outermost actor alone (RFC 8693 §4.1). Inner
// members are
//    only ever asked about by conditions that forbid.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/policy.h"
#include "sdk/policy_rules.h"

namespace behalf::sdk::rules {

// Which rules and templates are worth a look for a method.
class Index {
 public:
  struct Candidate {
    uint32_t rule;
    uint32_t path;
    uint32_t first_hash;  // 0: any
  };
  struct Method {
    std::string name;
    std::vector<Candidate> candidates;  // in the order of the rules
    bool has_calls = false;             // some rule looks at the calls in the body
  };
  explicit Index(const std::vector<Rule>& rules);
  const Method& of(std::string_view method) const;

 private:
  std::vector<Method> methods_;
  Method others_;  // deny rules about every method
};

// A request as rules look at it.
struct Question {
  Question(const Action& what, const RequestPath& where, const Delegation* who, Milliseconds when,
           const AgentLookup& registry)
      : action(what), path(where), delegation(who), now(when), agents(registry) {}

  const Action& action;
  const RequestPath& path;
  const Delegation* delegation;
  Milliseconds now;
  const AgentLookup& agents;
  const RpcCall* call = nullptr;  // null: the calls are not known, or nobody asks about them

  // What the registry says of the outermost actor; null: not known.
  const AgentInfo* actor_info();

 private:
  bool has_looked_ = false;
  std::shared_ptr<const AgentInfo> info_;
};

struct Judgement {
  Effect effect = Effect::kDenied;
  const Rule* rule = nullptr;     // null: none decided
  const Rule* nearest = nullptr;  // then: the first that was about the request, but for somebody else
  std::string detail;
  std::vector<std::string> forbidden_members;
};

// `steps`: what each rule said, if somebody wants to know. Does not count: limits are the caller's.
Judgement judge(const std::vector<Rule>& rules, const Index& index, Question& question,
                std::vector<Policy::Step>* steps);

}  // namespace behalf::sdk::rules
