// Small words for tests of policies: a policy from a text, requests, and people with agents.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "behalf/policy.h"

namespace behalf::sdk::testing {

// 2026-11-25 (a Wednesday), 12:00:00 UTC.
inline constexpr Milliseconds kNoon = 1'795'608'000'000;

inline std::shared_ptr<const Policy> policy_of(std::string_view text) {
  std::vector<Policy::Fault> faults;
  auto policy = Policy::parse(text, "policy.toml", faults);
  for (const auto& fault : faults) ADD_FAILURE() << fault.text;
  if (!policy) throw std::runtime_error("this policy has faults");
  return policy;
}

inline std::vector<std::string> faults_of(std::string_view text) {
  std::vector<Policy::Fault> faults;
  const auto policy = Policy::parse(text, "policy.toml", faults);
  EXPECT_EQ(policy == nullptr, !faults.empty()) << "a policy, or faults";
  std::vector<std::string> texts;
  for (const auto& fault : faults) texts.push_back(fault.text);
  return texts;
}

inline Action request(std::string method, std::string path) {
  return {std::move(method), std::move(path), "api.example", std::nullopt};
}

// alice's token, through the client "planner"; `chain`: newest first.
inline Delegation token(std::vector<std::string> chain = {"agent-calendar"},
                        std::vector<std::string> scopes = {"calendar.read"}) {
  Delegation result;
  result.issuer = "https://auth.example";
  result.subject = "alice";
  result.subject_profile = "user";
  result.client = "planner";
  result.resource = "https://api.example";
  result.grant = "g1";
  result.token_id = "t1";
  for (std::string& id : chain) result.chain.push_back({result.issuer, std::move(id), "ai_agent", {}});
  result.scopes = std::move(scopes);
  result.issued_at = kNoon - 1000;
  result.expires_at = kNoon + 600'000;
  return result;
}

// A registry of agents.
inline AgentLookup registry(std::vector<AgentInfo> agents) {
  std::map<std::string, std::shared_ptr<const AgentInfo>, std::less<>> known;
  for (AgentInfo& agent : agents) {
    const std::string id = agent.id;
    known[id] = std::make_shared<const AgentInfo>(std::move(agent));
  }
  return [known](std::string_view id) {
    const auto found = known.find(id);
    return found == known.end() ? nullptr : found->second;
  };
}

inline Decision decide(const Policy& policy, const Action& action, const Delegation& delegation) {
  Policy::Counters counters;
  return policy.decide(action, &delegation, kNoon, {}, &counters);
}

inline Effect effect_of(const Policy& policy, const Action& action, const Delegation& delegation) {
  return decide(policy, action, delegation).effect;
}

}  // namespace behalf::sdk::testing
