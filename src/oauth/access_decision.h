// May this agent act for this person at this resource now? Answered from what people consented to and what
// the registry allows, without any token (AuthZEN; docs/authzen.md). Rules of oauth/authority.h, asked before
// the fact.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/lineage.h"
#include "oauth/services.h"
#include "store/store.h"

namespace behalf::oauth {

struct AccessQuestion {
  std::string person;
  std::vector<std::string>
      chain;  // who acts, newest first: agents, or clients that are one; empty: nobody but the client
  std::string client;               // through which; empty: any
  std::string grant;                // under which consent; empty: any
  std::string resource;             // id or alias
  std::vector<std::string> scopes;  // all of them
  bool is_foreign = false;          // somebody in the chain is another issuer's
};

struct AccessAnswer {
  bool allowed = false;
  std::string_view reason;  // "consent", or what is missing
  std::optional<Grant> grant;
};

// For one transaction: what it read of a person's consents serves the next question too.
class AccessDecider {
 public:
  AccessDecider(store::ReadTransaction& transaction, const Services& services, UnixTime now)
      : transaction_(transaction), services_(services), now_(now) {}
  AccessAnswer decide(const AccessQuestion& question);

 private:
  struct Asked;
  std::shared_ptr<const User> find_person(const AccessQuestion& question, const Resource& resource);
  std::string_view find_everyone(const AccessQuestion& question, Asked& asked);
  std::string_view why_not(const Grant& grant, const AccessQuestion& question, const Asked& asked);
  std::string_view why_not_passed_on(const Grant& grant, const Asked& asked);
  const std::vector<Grant>& live_grants(const std::string& person);

  store::ReadTransaction& transaction_;
  const Services& services_;
  const UnixTime now_;
  std::map<std::string, std::vector<Grant>> grants_;
};

}  // namespace behalf::oauth
