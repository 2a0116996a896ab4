// What a Policy keeps.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "behalf/policy.h"
#include "sdk/policy_match.h"
#include "sdk/policy_rules.h"

namespace behalf::sdk {

struct __attribute__((visibility("hidden"))) Policy::Impl {  // of a class that is shown
  Impl(rules::RuleSet read, std::string file_name, std::string file_version)
      : set(std::move(read)),
        index(set.rules),
        name(std::move(file_name)),
        version(std::move(file_version)) {}

  enum class Limits { kTaken, kIgnored };
  Decision decide(const Action& action, const Delegation* delegation, Milliseconds now,
                  const AgentLookup& agents, Limits limits, Counters* counters,
                  std::vector<Step>* steps) const;
  // True if some rule about such a request looks at the calls in its body.
  bool asks_about_calls(std::string_view method, const rules::RequestPath& path) const;

  rules::RuleSet set;
  rules::Index index;
  std::string name;
  std::string version;
};

}  // namespace behalf::sdk
