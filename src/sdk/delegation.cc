#include "behalf/delegation.h"

#include <algorithm>

#include "base/environment.h"

namespace behalf::sdk {

Milliseconds system_now() { return SystemClock().now().milliseconds; }
Milliseconds steady_now() { return awake_or_asleep_milliseconds(); }

bool Delegation::has_scope(std::string_view scope) const {
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

std::string Delegation::name_of(const Hop& hop) const {
  return is_own(hop) ? hop.subject : hop.issuer + "#" + hop.subject;
}

bool Delegation::names_in_chain(std::string_view id) const {
  return std::any_of(chain.begin(), chain.end(), [&](const Hop& hop) { return hop.subject == id; });
}

}  // namespace behalf::sdk
