// One request being answered: the time it is, who asks, and the one way anything is decided.
//
// Every decision, allowed or denied, goes through commit(): it runs the decision in the store's transaction
// and appends the audit record in the same one. There is no other way to change state and no other writer of
// audit records.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "http/message.h"
#include "model/audit.h"
#include "oauth/error.h"
#include "oauth/services.h"

namespace behalf::oauth {

class Call {
 public:
  Call(Services& services_, const http::Request& request_, std::string_view event);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Services& services;
  const http::Request& request;
  // The clock, read once: everything in this call happens at this moment.
  const UnixTime now;
  // Filled along the way; written by commit().
  AuditRecord audit;

  const Settings& settings() const { return services.settings; }
  std::string new_id() { return make_ordered_id(now, services.random); }

  // Notes the denial for the audit and hands back the error, so that no refusal goes unrecorded.
  void deny(const OAuthError& error);
  void allow() {
    audit.outcome = AuditOutcome::kAllowed;
    audit.error.clear();
    audit.reason.clear();
  }

  // Runs `decide` in the transaction, then appends `audit` as it stands. `decide` may run more than once;
  // `audit` is reset to its state at the call of commit() each time. `decide` must outlive the wait.
  store::Committer::Pending commit(std::function<void(store::Transaction&)> decide);

  // Called inside a decision when what it was prepared from has changed since: the work is rolled back,
  // nothing is recorded, and answer() starts the call again on the new state.
  [[noreturn]] static void restart();
};

// Answers one request: runs `attempt` on a fresh Call, again when it asks to be restarted, and turns faults
// of the machinery into 503 (store) or 500 (anything else) that say nothing. The only place where exceptions
// are caught.
Task<http::Response> answer(Services& services, http::Request& request, std::string event,
                            std::function<Task<http::Response>(Call&)> attempt);

// `what` as a decision of its own where nothing else is to be done: records `call.audit`.
Task<void> record(Call& call);

// Denies and records. What a limit refuses is written at most ten times a second; a record says how many were
// not.
Task<void> record_refusal(Call& call, const OAuthError& error);

// Denies, records, answers.
Task<http::Response> refuse_call(Call& call, OAuthError error, Challenge challenge = Challenge::kNone);

}  // namespace behalf::oauth
