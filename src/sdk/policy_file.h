// The policy file (docs/policy.md): TOML in, rules out, or every complaint there is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/policy.h"
#include "sdk/policy_rules.h"

namespace behalf::sdk::rules {

inline constexpr size_t kMaxFileBytes = 4 * 1024 * 1024;
inline constexpr size_t kMaxRules = 10'000;

// `name` is what faults call the file. Nothing if there are faults.
std::optional<RuleSet> read_rules(std::string_view text, const std::string& name,
                                  std::vector<Policy::Fault>& faults);

}  // namespace behalf::sdk::rules
