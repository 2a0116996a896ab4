// What is remembered of one decision: who asked for what through whom, and what was said. Plain values; the
// formats are docs/evidence.md (JSON Lines) and OCSF 1.3, class API Activity.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "behalf/delegation.h"

namespace behalf::guard {

struct Record {
  std::string id;  // unique among all guards; the server takes each once
  sdk::Milliseconds time = 0;
  std::string event = "resource.access";  // or "resource.cut": an exchange ended because it might not go on
  std::string person;                     // `sub`
  std::string client;
  std::vector<std::string> chain;  // newest first
  std::string method;
  std::string path;                // without the query, which is where secrets stand
  std::vector<std::string> calls;  // JSON-RPC: "tools/call search_mail"
  std::string resource;
  bool allowed = false;
  bool shadow = false;  // it went through although it was not allowed
  int status = 0;       // what was answered; 0: the API did
  std::string reason;   // stable and machine-readable: "allow", "insufficient_scope", "revoked", ...
  std::string detail;   // for people
  std::string rule;
  std::string policy;  // its version
  std::string jti;
  std::string grant;
  std::string trace;  // W3C trace id
  std::string peer;
  std::vector<std::string> forbidden_members;  // of the chain, noted and not decided on
};

// Fills in who; what is there of a token that was refused is worth remembering too.
void describe(Record& record, const sdk::Delegation& delegation);

// One line each, without the line break.
std::string json_line(const Record& record);
std::string ocsf_line(const Record& record);

// The trace id of a `traceparent` (W3C Trace Context, version 00); empty if it is none.
std::string trace_of(std::string_view traceparent);

}  // namespace behalf::guard
