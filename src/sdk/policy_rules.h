// A policy as it stands in memory: plain values that policy_file.cc reads, policy_match.cc decides by and
// policy_coverage.cc compares.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/authzen.h"
#include "behalf/delegation.h"
#include "sdk/policy_path.h"

namespace behalf::sdk::rules {

// Sorted, without doubles. Empty: no condition.
using Names = std::vector<std::string>;

bool contains(const Names& names, std::string_view name);

enum class Presence { kEither, kPresent, kAbsent };

// Who asks: conditions on the top of the token and on the outermost actor alone (RFC 8693 §4.1).
struct Who {
  Presence actor = Presence::kEither;
  Names actors;      // ids; of this issuer's where they permit
  Names publishers;  // what the registry says of the outermost actor
  Names owners;
  Names statuses;
  Names persons;   // `sub`
  Names clients;   // `client_id`
  Names profiles;  // `sub_profile`

  bool names_actor() const {
    return !actors.empty() || !publishers.empty() || !owners.empty() || !statuses.empty();
  }
  bool is_anyone() const {
    return actor == Presence::kEither && !names_actor() && persons.empty() && clients.empty() &&
           profiles.empty();
  }
};

// On some days of the week, from one time of day to another; over midnight if it ends before it begins.
struct TimeWindow {
  unsigned days = 0x7F;  // bit 0: Monday
  int from_minute = 0;
  int to_minute = 24 * 60;
  int offset_minutes = 0;  // of UTC

  bool holds(Milliseconds now) const;
};

enum class Per { kActor, kGrant, kPerson };
enum class LimitKind { kRate, kDay, kTotal };

struct Limit {
  LimitKind kind = LimitKind::kRate;
  Per per = Per::kActor;
  int64_t count = 0;
  Milliseconds every = 0;  // of a rate
};
// "10 in 1 minute per actor"
std::string describe(const Limit& limit);

struct Rule {
  std::string name;
  size_t line = 0;
  bool is_allow = false;

  // What it is about.
  Names methods;  // empty: every one (deny only)
  std::vector<PathTemplate> paths;
  Names hosts;
  Names rpc_methods;
  Names tools;
  // Whom it is about: others go on to the next rule. In a deny rule, all its conditions on people and agents.
  Who about;

  // What must hold for an allow rule to allow; where it does not, the rule refuses.
  bool needs_token = true;
  Who needs;
  Names scopes;
  std::vector<std::string> acr;  // in the order of the file
  std::optional<Milliseconds> max_age;
  std::optional<size_t> max_chain;
  Names chain_only;
  bool chain_known = false;
  std::vector<Limit> limits;
  bool asks_authzen = true;

  // In both: an allow rule refuses where one of these stands in the chain, a deny rule denies (only) then.
  Names chain_forbids;
  // An allow rule allows then, a deny rule denies then; empty: always.
  std::vector<TimeWindow> times;

  bool looks_at_calls() const { return !rpc_methods.empty() || !tools.empty(); }
};

struct RuleSet {
  std::vector<Rule> rules;
  std::optional<Authzen> authzen;
};

}  // namespace behalf::sdk::rules
