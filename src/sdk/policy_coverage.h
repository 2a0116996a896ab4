// What a policy says that it cannot mean: rules that never decide because earlier ones take everything they
// are about, and conditions that no request can meet.
#pragma once

#include <string>
#include <vector>

#include "behalf/policy.h"
#include "sdk/policy_rules.h"

namespace behalf::sdk::rules {

std::vector<Policy::Fault> find_warnings(const RuleSet& set, const std::string& file);

}  // namespace behalf::sdk::rules
