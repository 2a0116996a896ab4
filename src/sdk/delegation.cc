#include "behalf/delegation.h"

#include <algorithm>

namespace behalf::sdk {

bool Delegation::has_scope(std::string_view scope) const {
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

bool Delegation::names_in_chain(std::string_view id) const {
  return std::any_of(chain.begin(), chain.end(), [&](const Hop& hop) { return hop.subject == id; });
}

}  // namespace behalf::sdk
