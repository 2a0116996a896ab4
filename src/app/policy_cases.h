// Table tests of a policy (docs/policy.md): what is asked, with which claims, and what must come of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "behalf/policy.h"

namespace behalf::app {

struct PolicyCase {
  std::string name;
  size_t line = 0;
  sdk::Action action;
  std::optional<sdk::Delegation> delegation;  // nothing: no token
  sdk::Milliseconds at = 0;
  int64_t times = 1;  // asked this often; the last answer is judged
  sdk::Effect effect = sdk::Effect::kDenied;
  std::optional<std::string> rule;  // "" means: no rule decided
  std::optional<std::vector<std::string>> scopes;
};

struct PolicyCases {
  std::string policy;  // path; empty: the command line names it
  std::vector<sdk::AgentInfo> agents;
  std::vector<PolicyCase> cases;
};

// The reasons are lines, all there are: "cases.toml:7: ...". Paths in the file are relative to it.
Result<PolicyCases, std::vector<std::string>> read_policy_cases(const std::string& path,
                                                                sdk::Milliseconds now);

struct CaseOutcome {
  sdk::Decision decision;
  std::vector<std::string> differences;  // empty: as expected
};
CaseOutcome run_case(const sdk::Policy& policy, const PolicyCase& one, const sdk::AgentLookup& agents);

sdk::AgentLookup lookup_in(const std::vector<sdk::AgentInfo>& agents);

// Claims as they stand in a token nobody has verified. The reason is a sentence.
Result<sdk::Delegation, std::string> unverified_delegation(const json::Value& claims);

}  // namespace behalf::app
