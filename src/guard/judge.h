// One decision: the token of a request, what it says, and what the policy says of it. Pure but for the
// counters of rates and budgets; evidence and headers are made of what comes out.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "behalf/authzen.h"
#include "behalf/challenge.h"
#include "behalf/policy.h"
#include "behalf/verifier.h"
#include "guard/asked.h"
#include "guard/record.h"

namespace behalf::guard {

struct Ruling {
  bool allowed = false;
  sdk::Challenge challenge;  // what a refusal answers
  int64_t retry_after = 0;   // seconds; 0: none
  // Who asks; null: nobody who could prove it.
  std::shared_ptr<const sdk::Delegation> who;
  std::string_view token;                             // within what was asked; empty where it is not good
  std::shared_ptr<const sdk::Decision::Taken> taken;  // what rates and budgets have counted
  // Allowed if the external decision point agrees to all of these; empty: nobody else is asked.
  std::vector<std::string> external_requests;
  sdk::Authzen external;
  Record record;
};

// How much there is of the body, where it must be looked at.
enum class Size {
  kFits,
  kTooLarge,     // more than is looked at, and still to come: it could go on unseen
  kTooLargeNow,  // more than is looked at, and a part of it has been read: it cannot go on
};

class Judge {
 public:
  static constexpr size_t kMaxToken = 16 * 1024;

  // Keeps references. `agents` may be empty.
  Judge(const Settings& settings, sdk::Verifier& verifier, sdk::Challenger challenger,
        sdk::AgentLookup agents);

  // The policy in force; to be called before the first rule(), and whenever it changes.
  void use(std::shared_ptr<const sdk::Policy> policy) { policy_.store(std::move(policy)); }
  std::shared_ptr<const sdk::Policy> policy() const { return policy_.load(); }

  sdk::Policy::Counters& counters() { return counters_; }

  // True if this request cannot be decided without its body.
  bool needs_body(const Asked& asked) const;
  Ruling rule(const Asked& asked, Size size, sdk::Milliseconds now);
  // About what a proxy asked unclearly: nothing is decided, and it is remembered.
  Ruling unclear(const http::Request& request, sdk::Milliseconds now) const;
  // What the external decision point said of a ruling that wanted to know.
  void settle(Ruling& ruling, sdk::AuthzenAnswer said, sdk::Milliseconds now);
  // What was allowed does not happen after all: nothing was used up.
  void give_back(const Ruling& ruling, sdk::Milliseconds now);
  // What was allowed with this token and may be going on still: nothing, or why it must end.
  std::optional<sdk::Refusal> ended(std::string_view token, sdk::Milliseconds now);

  // True if the last token could not be judged for want of keys.
  bool lacks_keys() const { return lacks_keys_; }

 private:
  void refuse(Ruling& ruling, sdk::Challenge challenge, std::string_view reason,
              std::string_view detail = {}) const;
  void refuse(Ruling& ruling, const sdk::Decision& decision) const;
  void refuse_too_large(Ruling& ruling, const sdk::Action& action, sdk::Milliseconds now) const;

  const Settings& settings_;
  sdk::Verifier& verifier_;
  sdk::Challenger challenger_;
  sdk::AgentLookup agents_;
  std::string host_;
  std::atomic<std::shared_ptr<const sdk::Policy>> policy_;
  sdk::Policy::Counters counters_;
  std::atomic<bool> lacks_keys_ = false;
};

}  // namespace behalf::guard
