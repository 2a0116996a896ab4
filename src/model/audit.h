// One record per decision, allowed or denied (decision D-53). Ids and reasons only: a record never holds a
// code, token, verifier, secret, key or password, nor anything from which one could be found.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "model/delegation.h"

namespace behalf {

enum class AuditOutcome { kAllowed, kDenied };

struct AuditRecord {
  std::string event;  // "token.authorization_code", "consent.allow", "agent.suspend", ...
  AuditOutcome outcome = AuditOutcome::kDenied;
  std::string error;   // the code the caller saw, for a denial
  std::string reason;  // machine-readable cause; may say more than the caller was told
  std::string request_id;
  std::string trace;  // W3C trace id the caller sent, if well-formed
  std::string peer;   // network address
  std::string user;   // the person
  std::string client;
  std::string agent;      // the agent in question (requested, proved, or outermost)
  DelegationChain chain;  // as it results
  std::string grant;
  // What the log finds it by without a grant; no part of the record's text. The first node of a lineage of
  // software's own, or oauth::filed_under() a principal whose epoch ended.
  std::string lineage;
  std::string node;  // the code or token issued, judged or ended
  std::string parent;
  std::string scope;
  std::string resource;
  json::Value details;  // further members, by event; null: none
};

// A record as it stands in the log: numbered, timed, chained by hash.
//   hash = SHA-256(previous hash (32 bytes) || canonical JSON of the record)
// so that an edit, deletion or reordering shows when the chain is recomputed (docs/audit-format.md).
struct LoggedRecord {
  int64_t sequence = 0;
  std::string json;
  std::string hash;     // 64 hex digits
  std::string lineage;  // what it is filed under: the consent, or the first node of a lineage without one
};

// What the text of a record stays within.
inline constexpr json::Limits kRecordLimits{.bytes = 1024 * 1024, .depth = 32};

// The canonical text of a record, with its place and time in the log.
std::string canonical_json(const AuditRecord& record, int64_t sequence, UnixTime now);

}  // namespace behalf
