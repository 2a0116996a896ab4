// What a resource server or guard reports of one call that it let through or refused (docs/evidence.md): a
// claim, read strictly in shape and never trusted by itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace behalf {

// Of one call to POST /evidence.
inline constexpr size_t kMaxEvidenceRecords = 200;

struct EvidenceRecord {
  std::string id;     // the reporter's own; taken once
  UnixTime time;      // by the reporter's clock
  std::string event;  // "resource.access", or "resource.cut": what went on was ended
  bool allowed = false;
  bool shadow = false;  // it went through although the policy would not have it
  std::string person;
  std::string client;
  std::vector<std::string> chain;  // newest first
  std::string grant;
  std::string token_id;  // `jti`
  json::Value action;  // {"method","path","rpc_method","tool","calls"}, what there is of them; null: nothing
  std::string resource;
  std::string rule;
  std::string policy_version;
  std::string reason;
  std::string detail;
  int64_t status = 0;  // of the HTTP answer; 0: unsaid
  std::string peer;    // who called the reporter
  std::string trace;   // W3C trace id
};

struct EvidenceFault {
  size_t record = 0;  // index in the list; meaningless if `text` is about the whole
  bool is_whole = false;
  std::string text;
};

// The body {"records":[...]}. Members that are not known are ignored, so that a newer reporter can talk to an
// older server. Long texts are cut, ids are not.
Result<std::vector<EvidenceRecord>, EvidenceFault> parse_evidence(const json::Value& body);

}  // namespace behalf
