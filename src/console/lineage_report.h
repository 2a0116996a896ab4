// "What did this agent do?": the lineages of a consent, a token, a person or an agent, found by what is
// indexed and read within bounds; the report says what was left out.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "store/store.h"

namespace behalf::console {

// Exactly one of the first four.
struct LineageQuestion {
  std::string grant;
  std::string token;  // the id of a code or token (`jti`), also one that was purged long ago
  std::string user;
  std::string agent;
  size_t most_lineages = 20;
  size_t most_records = 20'000;  // of the log, in all
  bool is_one() const { return !grant.empty() + !token.empty() + !user.empty() + !agent.empty() == 1; }
};

// {"lineages":[...], "cut":[...]}; nothing if nothing is known of it.
std::optional<json::Value> report_lineage_of(store::ReadTransaction& transaction,
                                             const LineageQuestion& question, UnixTime now);

}  // namespace behalf::console
