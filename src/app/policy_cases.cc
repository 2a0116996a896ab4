#include "app/policy_cases.h"

#include <toml++/toml.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "app/config.h"
#include "base/bytes.h"
#include "base/time.h"
#include "sdk/claims.h"
#include "sdk/policy_toml.h"

namespace behalf::app {
namespace {

using sdk::rules::Complaints;
using sdk::rules::TomlTable;

constexpr int64_t kMostTimes = 100'000;

// Only what JSON has too. Nothing: a date, a time or a number that is not whole, which no claim is.
std::optional<json::Value> value_of(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return json::Value(*text);
  if (const auto number = node.value_exact<int64_t>()) return json::Value(*number);
  if (const auto flag = node.value_exact<bool>()) return json::Value(*flag);
  if (const toml::array* array = node.as_array()) {
    json::Value::Array list;
    for (const toml::node& item : *array) {
      auto value = value_of(item);
      if (!value) return std::nullopt;
      list.push_back(std::move(*value));
    }
    return json::Value(std::move(list));
  }
  if (const toml::table* table = node.as_table()) {
    json::Value::Object members;
    for (const auto& [key, inner] : *table) {
      auto value = value_of(inner);
      if (!value) return std::nullopt;
      members.push_back({std::string(key.str()), std::move(*value)});
    }
    return json::Value(std::move(members));
  }
  return std::nullopt;
}

sdk::Milliseconds milliseconds_of(const toml::date_time& time) {
  const std::chrono::year_month_day day{std::chrono::year(time.date.year),
                                        std::chrono::month(time.date.month), std::chrono::day(time.date.day)};
  const int64_t days = std::chrono::sys_days(day).time_since_epoch().count();
  const int64_t minutes =
      days * 24 * 60 + time.time.hour * 60 + time.time.minute - (time.offset ? time.offset->minutes : 0);
  return (minutes * 60 + time.time.second) * 1000 + time.time.nanosecond / 1'000'000;
}

sdk::AgentInfo read_agent(const toml::table& node, Complaints& complaints) {
  TomlTable table(node, complaints);
  sdk::AgentInfo agent;
  agent.id = table.text("id");
  if (!table.has("id")) table.complain(nullptr, "an agent must have an id");
  agent.name = table.text("name", agent.id);
  agent.publisher = table.text("publisher");
  agent.owner = table.text("owner");
  agent.status = table.text("status", "active");
  table.finish();
  return agent;
}

class Reader {
 public:
  Reader(std::string path, sdk::Milliseconds now, Complaints& complaints)
      : path_(std::move(path)), now_(now), complaints_(complaints) {}

  PolicyCases read(const toml::table& root) {
    TomlTable table(root, complaints_);
    PolicyCases result;
    result.policy = beside(table.text("policy"));
    for (const toml::table* node : table.tables("agent"))
      result.agents.push_back(read_agent(*node, complaints_));
    if (const toml::table* node = table.table("defaults")) {
      TomlTable defaults(*node, complaints_);
      host_ = defaults.text("host");
      if (const toml::table* claims = defaults.table("claims"))
        add_claims(defaults, *claims, default_claims_);
      at_ = read_time(defaults, now_);
      defaults.finish();
    } else {
      at_ = now_;
    }
    for (const toml::table* node : table.tables("case")) result.cases.push_back(read_case(*node));
    table.finish();
    if (result.cases.empty() && complaints_.empty()) table.complain(nullptr, "there are no cases");
    return result;
  }

 private:
  std::string beside(const std::string& name) const {
    if (name.empty() || name.starts_with('/')) return name;
    return (std::filesystem::path(path_).parent_path() / name).string();
  }

  sdk::Milliseconds read_time(TomlTable& table, sdk::Milliseconds fallback) {
    const toml::node* node = table.take("at");
    if (node == nullptr) return fallback;
    const auto time = node->value_exact<toml::date_time>();
    if (time && time->offset) return milliseconds_of(*time);
    table.complain(node, "at must be a time such as 2026-11-25T12:00:00Z, without quotes");
    return fallback;
  }

  void add_claims(TomlTable& table, const toml::table& node, json::Value& claims) {
    for (const auto& [key, inner] : node) {
      if (auto value = value_of(inner))
        claims.set(key.str(), std::move(*value));
      else
        table.complain(&inner, std::string(key.str()) +
                                   " must be a text, a whole number, true, false, a list or a table");
    }
  }

  void read_token(TomlTable& table, PolicyCase& one) {
    const toml::table* node = table.table("claims");
    const std::string ago = table.text("signed_in_ago");
    if (node == nullptr) {
      if (!ago.empty()) table.complain("signed_in_ago", "signed_in_ago needs claims");
      return;
    }
    // What every token has, unless the case says otherwise.
    json::Value claims;
    claims.set("iss", "https://issuer.example");
    claims.set("client_id", "client");
    claims.set("jti", "case");
    claims.set("iat", one.at / 1000);
    claims.set("exp", one.at / 1000 + 600);
    if (const json::Value::Object* defaults = default_claims_.object()) {
      for (const json::Member& member : *defaults) claims.set(member.name, member.value);
    }
    add_claims(table, *node, claims);
    if (!ago.empty()) {
      if (const auto span = parse_duration(ago))
        claims.set("auth_time", one.at / 1000 - span->count);
      else
        table.complain("signed_in_ago", "signed_in_ago must be a span such as \"5m\"");
    }
    auto delegation = unverified_delegation(claims);
    if (delegation)
      one.delegation = std::move(*delegation);
    else
      table.complain(node, delegation.reason());
  }

  PolicyCase read_case(const toml::table& node) {
    TomlTable table(node, complaints_);
    PolicyCase one;
    one.line = table.line();
    one.name = table.text("name");
    if (!table.has("name")) table.complain(nullptr, "a case must have a name");
    one.at = read_time(table, at_);
    one.action.method = table.text("method", "GET");
    one.action.path = table.text("path");
    if (!table.has("path")) table.complain(nullptr, "a case must say its path");
    one.action.host = table.text("host", host_);
    const toml::node* body = table.take("body");
    const std::string type = table.text("content_type", "application/json");
    if (body != nullptr) {
      // A body may be anything, also what `text` refuses.
      if (const auto text = body->value_exact<std::string>())
        one.action.calls = sdk::parse_rpc(type, {}, *text);
      else
        table.complain(body, "body must be text");
    }
    read_token(table, one);
    one.times = table.integer("times", 1, 1, kMostTimes);
    static constexpr sdk::Effect kEffects[] = {sdk::Effect::kAllow,
                                               sdk::Effect::kTokenMissing,
                                               sdk::Effect::kActorMissing,
                                               sdk::Effect::kActorUnauthorized,
                                               sdk::Effect::kInsufficientScope,
                                               sdk::Effect::kStepUp,
                                               sdk::Effect::kTooMany,
                                               sdk::Effect::kDenied};
    std::vector<std::string_view> names;
    for (const sdk::Effect effect : kEffects) names.push_back(name_of(effect));
    if (!table.has("expect")) table.complain(nullptr, "a case must say what to expect");
    one.effect = kEffects[table.choice("expect", names, names.size() - 1)];
    if (const toml::node* rule = table.take("rule")) {
      one.rule = rule->value_exact<std::string>();
      if (!one.rule) table.complain(rule, "rule must be the name of a rule, or \"\" for none");
    }
    if (table.has("scopes")) one.scopes = table.list("scopes");
    table.finish();
    return one;
  }

  std::string path_;
  sdk::Milliseconds now_;
  sdk::Milliseconds at_ = 0;
  Complaints& complaints_;
  std::string host_;
  json::Value default_claims_;
};

std::string joined(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  std::string result;
  for (const std::string& text : texts) result += (result.empty() ? "" : " ") + text;
  return result;
}

}  // namespace

Result<sdk::Delegation, std::string> unverified_delegation(const json::Value& claims) {
  sdk::VerifierOptions options;
  const json::Value* audience = claims.find("aud");
  if (audience != nullptr && audience->string() != nullptr) options.audiences.push_back(*audience->string());
  if (audience != nullptr && audience->array() != nullptr) {
    for (const json::Value& item : *audience->array()) {
      if (item.string() != nullptr) options.audiences.push_back(*item.string());
    }
  }
  auto delegation = sdk::read_delegation(claims, options);
  if (delegation) return std::move(*delegation);
  return Refused<std::string>{
      "these are no claims of an access token: " + std::string(describe(delegation.reason())) + " (" +
      std::string(name_of(delegation.reason())) + ")"};
}

sdk::AgentLookup lookup_in(const std::vector<sdk::AgentInfo>& agents) {
  auto known = std::make_shared<std::map<std::string, std::shared_ptr<const sdk::AgentInfo>, std::less<>>>();
  for (const sdk::AgentInfo& agent : agents)
    (*known)[agent.id] = std::make_shared<const sdk::AgentInfo>(agent);
  return [known](std::string_view id) {
    const auto found = known->find(id);
    return found == known->end() ? nullptr : found->second;
  };
}

Result<PolicyCases, std::vector<std::string>> read_policy_cases(const std::string& path,
                                                                sdk::Milliseconds now) {
  using Faults = std::vector<std::string>;
  const auto text = read_text(path);
  if (!text) return Refused<Faults>{{text.reason()}};
  const auto at_line = [&](size_t line, const std::string& what) {
    return one_line(path + ":" + std::to_string(line) + ": " + what);
  };
  try {
    const toml::table parsed = toml::parse(*text, path);
    Complaints complaints;
    PolicyCases cases = Reader(path, now, complaints).read(parsed);
    if (complaints.empty()) return cases;
    Faults faults;
    for (const auto& [line, what] : complaints) faults.push_back(at_line(line, what));
    return Refused<Faults>{std::move(faults)};
  } catch (const toml::parse_error& fault) {
    return Refused<Faults>{{at_line(fault.source().begin.line, std::string(fault.description()))}};
  }
}

CaseOutcome run_case(const sdk::Policy& policy, const PolicyCase& one, const sdk::AgentLookup& agents) {
  CaseOutcome outcome;
  sdk::Policy::Counters counters(1024);
  for (int64_t i = 0; i < one.times; ++i)
    outcome.decision =
        policy.decide(one.action, one.delegation ? &*one.delegation : nullptr, one.at, agents, &counters);
  const sdk::Decision& decision = outcome.decision;
  if (decision.effect != one.effect)
    outcome.differences.push_back("expected " + std::string(name_of(one.effect)) + ", got " +
                                  std::string(name_of(decision.effect)));
  if (one.rule && *one.rule != decision.rule)
    outcome.differences.push_back("expected " + (one.rule->empty() ? "no rule" : "rule " + *one.rule) +
                                  ", got " + (decision.rule.empty() ? "no rule" : "rule " + decision.rule));
  if (one.scopes && joined(*one.scopes) != joined(decision.scopes))
    outcome.differences.push_back("expected scopes \"" + joined(*one.scopes) + "\", got \"" +
                                  joined(decision.scopes) + "\"");
  return outcome;
}

}  // namespace behalf::app
