#include "app/policy_commands.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>

#include "app/commands.h"
#include "app/config.h"
#include "app/policy_cases.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "base/environment.h"
#include "base/json.h"
#include "behalf/keys.h"
#include "behalf/policy.h"
#include "behalf/verifier.h"
#include "crypto/jwt.h"

namespace behalf::app {
namespace {

json::Value texts_of(const std::vector<sdk::Policy::Fault>& faults) {
  json::Value::Array list;
  for (const auto& fault : faults) list.emplace_back(fault.text);
  return list;
}

std::shared_ptr<const sdk::Policy> load_or_complain(const std::string& path, bool as_json) {
  std::vector<sdk::Policy::Fault> faults;
  auto policy = sdk::Policy::load(path, faults);
  std::vector<std::string> problems;
  problems.reserve(faults.size());
  for (const auto& fault : faults) problems.push_back(fault.text);
  if (!policy) complain(as_json, kWrongUse, problems);
  return policy;
}

json::Value json_of(const sdk::Decision& decision) {
  json::Value out;
  out.set("effect", name_of(decision.effect));
  out.set("allowed", decision.allowed());
  out.set("rule", decision.rule);
  out.set("reason", decision.reason);
  out.set("detail", decision.detail);
  out.set("scopes", json_list(decision.scopes));
  if (!decision.acr.empty()) out.set("acr", decision.acr);
  if (decision.max_age) out.set("max_age", *decision.max_age);
  out.set("forbidden_members", json_list(decision.forbidden_members));
  out.set("needs_external", decision.needs_external);
  out.set("policy", decision.policy_version);
  return out;
}

// "2026-11-25T12:00:00Z" and nothing else, so that no shell has to know of offsets.
std::optional<sdk::Milliseconds> parse_time(const std::string& text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  if (text.size() != kForm.size()) return std::nullopt;
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  const int year = number(0, 4);
  const auto month = static_cast<unsigned>(number(5, 2));
  const auto day = static_cast<unsigned>(number(8, 2));
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  const auto date = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const sdk::Milliseconds time = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
  // Written back it must read the same: so every digit was one, and every hour an hour.
  return rfc3339(UnixTime{time}) == text ? std::optional(time) : std::nullopt;
}

std::string read_token(const std::string& given) {
  if (given != "-") return given;
  std::string text;
  char buffer[4096];
  for (ssize_t count;
       (count = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0 && text.size() < crypto::kMaxJwtBytes;)
    text.append(buffer, static_cast<size_t>(count));
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
  return text;
}

struct Asker {
  std::optional<sdk::Delegation> delegation;
  std::string trust;  // what was made sure of the token
};

// The token's own issuer and audience are taken for the right ones: the question is what the policy says of
// it.
Result<Asker, std::string> read_asker(const ExplainOptions& options, sdk::Milliseconds now) {
  Asker asker;
  asker.trust = "no token";
  if (options.token.empty()) return asker;
  const std::string text = read_token(options.token);
  const auto jwt = crypto::EncodedJwt::parse(text);
  if (!jwt) return Refused<std::string>{"this is no JWT: " + std::string(describe(jwt.reason()))};
  auto read = unverified_delegation(jwt->unproved_claims());
  if (!read) return std::move(read).refused();
  if (options.jwks_path.empty()) {
    asker.trust = "NOT VERIFIED: the token's signature and life were not looked at";
  } else {
    const auto keys = read_text(options.jwks_path);
    if (!keys) return Refused<std::string>{keys.reason()};
    std::optional<sdk::KeySource> source;
    try {
      source.emplace(sdk::KeySource::fixed(*keys));
    } catch (const std::exception& fault) {
      return Refused<std::string>{options.jwks_path + ": " + fault.what()};
    }
    sdk::VerifierOptions rules;
    rules.issuer = read->issuer;
    rules.audiences = {read->resource};
    sdk::Verifier verifier(rules, *source, nullptr);
    if (const sdk::Verdict verdict = verifier.verify(text, now); !verdict)
      return Refused<std::string>{"the guard would refuse this token before any policy: " +
                                  std::string(describe(verdict.refusal))};
    asker.trust = "verified with the given keys; whether it was revoked is not known here";
  }
  asker.delegation = std::move(*read);
  return asker;
}

Result<sdk::AgentLookup, std::string> read_agents(const std::string& path) {
  if (path.empty()) return sdk::AgentLookup();
  const auto text = read_text(path);
  if (!text) return Refused<std::string>{text.reason()};
  const auto document = json::parse(*text, {.bytes = 16 * 1024 * 1024});
  const json::Value* list = document ? document->find("agents") : nullptr;
  if (list == nullptr || list->array() == nullptr)
    return Refused<std::string>{path + ": has no {\"agents\": [...]}"};
  std::vector<sdk::AgentInfo> agents;
  for (const json::Value& item : *list->array()) {
    agents.push_back({text_of(item, "id"), text_of(item, "name"), text_of(item, "publisher"),
                      text_of(item, "owner"), text_of(item, "status")});
  }
  return lookup_in(agents);
}

}  // namespace

int check_policy(const std::string& policy_path, bool as_json) {
  std::vector<sdk::Policy::Fault> faults;
  const auto policy = sdk::Policy::load(policy_path, faults);
  const auto warnings = policy ? policy->warnings() : std::vector<sdk::Policy::Fault>{};
  if (as_json) {
    json::Value out;
    out.set("ok", faults.empty() && warnings.empty());
    out.set("faults", texts_of(faults));
    out.set("warnings", texts_of(warnings));
    if (policy) {
      out.set("rules", static_cast<int64_t>(policy->rule_count()));
      out.set("policy", policy->version());
    }
    print_json(out);
  } else {
    for (const auto& fault : faults) std::fprintf(stderr, "%s\n", fault.text.c_str());
    for (const auto& warning : warnings) std::fprintf(stderr, "warning: %s\n", warning.text.c_str());
    if (policy && warnings.empty())
      std::printf("%s is fine: %s, version %s\n", policy_path.c_str(),
                  counted(static_cast<int64_t>(policy->rule_count()), "rule").c_str(),
                  policy->version().c_str());
  }
  if (!policy) return kWrongUse;
  return warnings.empty() ? kOk : kRefused;
}

int test_policy(const PolicyTestOptions& options) {
  const auto read = read_policy_cases(options.cases_path, SystemClock().now().milliseconds);
  if (!read) return complain(options.as_json, kWrongUse, read.reason());
  const std::string& policy_path = options.policy_path.empty() ? read->policy : options.policy_path;
  if (policy_path.empty()) {
    return complain(
        options.as_json, kWrongUse,
        {options.cases_path + " names no policy: write policy = \"policy.toml\", or use --policy"});
  }
  const auto policy = load_or_complain(policy_path, options.as_json);
  if (!policy) return kWrongUse;
  const sdk::AgentLookup agents = lookup_in(read->agents);
  size_t width = 0;
  for (const PolicyCase& one : read->cases) width = std::max(width, one.name.size());
  int64_t failed = 0;
  json::Value::Array rows;
  for (const PolicyCase& one : read->cases) {
    const CaseOutcome outcome = run_case(*policy, one, agents);
    const bool is_met = outcome.differences.empty();
    failed += is_met ? 0 : 1;
    if (options.as_json) {
      json::Value row;
      row.set("name", one.name);
      row.set("line", static_cast<int64_t>(one.line));
      row.set("ok", is_met);
      row.set("differences", json_list(outcome.differences));
      row.set("decision", json_of(outcome.decision));
      rows.push_back(std::move(row));
      continue;
    }
    const std::string got =
        one_line(std::string(name_of(outcome.decision.effect)) +
                 (outcome.decision.rule.empty() ? ", by no rule" : ", by " + outcome.decision.rule));
    std::printf("%-4s  %-*s  %s\n", is_met ? "ok" : "FAIL", static_cast<int>(width),
                one_line(one.name).c_str(), got.c_str());
    for (const std::string& difference : outcome.differences)
      std::printf(
          "      %s:%zu: %s%s\n", options.cases_path.c_str(), one.line, one_line(difference).c_str(),
          outcome.decision.detail.empty() ? "" : one_line(" (" + outcome.decision.detail + ")").c_str());
  }
  if (options.as_json) {
    json::Value out;
    out.set("ok", failed == 0);
    out.set("policy", policy->version());
    out.set("cases", std::move(rows));
    print_json(out);
  } else {
    std::printf("%s, %lld failed\n", counted(static_cast<int64_t>(read->cases.size()), "case").c_str(),
                static_cast<long long>(failed));
  }
  return failed == 0 ? kOk : kRefused;
}

int explain_policy(const ExplainOptions& options) {
  const auto refuse = [&](const std::string& what, int exit_code = kWrongUse) {
    return complain(options.as_json, exit_code, {what});
  };
  const auto policy = load_or_complain(options.policy_path, options.as_json);
  if (!policy) return kWrongUse;
  const auto time =
      options.at.empty() ? std::optional(SystemClock().now().milliseconds) : parse_time(options.at);
  if (!time) return refuse("--at must be a time such as 2026-11-25T12:00:00Z");
  auto agents = read_agents(options.agents_path);
  if (!agents) return refuse(agents.reason());
  sdk::Action action;
  action.method = options.method;
  action.path = options.path.substr(0, options.path.find('?'));
  action.host = options.host;
  if (!options.body_path.empty()) {
    const auto body = read_text(options.body_path);
    if (!body) return refuse(body.reason());
    action.calls = sdk::parse_rpc(options.content_type, {}, *body);
  }
  const auto asker = read_asker(options, *time);
  if (!asker) return refuse(asker.reason(), kRefused);
  const sdk::Delegation* who = asker->delegation ? &*asker->delegation : nullptr;
  std::vector<sdk::Policy::Step> steps;
  const sdk::Decision decision = policy->trace(action, who, *time, *agents, steps);
  if (options.as_json) {
    json::Value::Array list;
    for (const auto& step : steps) {
      json::Value one;
      one.set("rule", step.rule);
      one.set("line", static_cast<int64_t>(step.line));
      one.set("outcome", step.outcome);
      one.set("why", step.why);
      if (!step.call.empty()) one.set("call", step.call);
      list.push_back(std::move(one));
    }
    json::Value out = json_of(decision);
    out.set("token", asker->trust);
    out.set("is_verified", who != nullptr && !options.jwks_path.empty());
    out.set("steps", std::move(list));
    print_json(out);
  } else {
    std::printf("%s\n", asker->trust.c_str());
    if (!options.body_path.empty() && !action.calls)
      std::printf("the body is no JSON-RPC that can be read in one way only: its calls are not known\n");
    std::printf("%s", policy->explain(action, who, *time, *agents).c_str());
  }
  return decision.allowed() ? kOk : kRefused;
}

}  // namespace behalf::app
