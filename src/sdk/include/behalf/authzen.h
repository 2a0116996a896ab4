// An external decision point, asked by AuthZEN Authorization API 1.0 (`POST /access/v1/evaluation`): what is
// sent and what the answer means. The HTTP call is the caller's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "behalf/delegation.h"
#include "behalf/export.h"

namespace behalf::sdk {

struct Action;

// `[authzen]` in a policy file.
struct Authzen {
  std::string url;                 // the evaluation endpoint, https (http on loopback only)
  Milliseconds timeout = 200;      // for all requests about one call together
  bool allows_on_failure = false;  // `on_failure`: what a silent or broken decision point means
  std::string ca_file;             // path; whom its certificate must be from; empty: the system's
  std::string token_file;          // path; holds a bearer token for it; empty: none is sent
};

// The bodies to send, one for each JSON-RPC call in the action and one if there are none: every one of them
// must be permitted. `now` becomes `context.time`.
BEHALF_PUBLIC std::vector<std::string> authzen_requests(const Action& action, const Delegation* delegation,
                                                        Milliseconds now);

enum class AuthzenAnswer {
  kPermit,
  kDeny,
  kFailure,  // no answer, or not one of the specification: `on_failure` decides
};
// Only status 200, `application/json` and `"decision": true` permit. Status 0: nobody answered.
BEHALF_PUBLIC AuthzenAnswer read_authzen_answer(int status, std::string_view content_type,
                                                std::string_view body);

}  // namespace behalf::sdk
