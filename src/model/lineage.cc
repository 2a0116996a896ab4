#include "model/lineage.h"

#include <algorithm>

namespace behalf {

bool allow_the_same(const Grant& one, const Grant& other) {
  const auto sorted = [](std::vector<ResourceId> resources) {
    std::sort(resources.begin(), resources.end(),
              [](const ResourceId& a, const ResourceId& b) { return a.text() < b.text(); });
    return resources;
  };
  return one.user == other.user && one.client == other.client && one.agent == other.agent &&
         one.scopes == other.scopes && sorted(one.resources) == sorted(other.resources) &&
         one.redirect_host == other.redirect_host && one.offline == other.offline &&
         one.onward_depth == other.onward_depth && one.purpose == other.purpose && one.shown == other.shown;
}

std::string_view name_of(NodeKind kind) {
  switch (kind) {
    case NodeKind::kCode:
      return "authorization_code";
    case NodeKind::kAccessToken:
      return "access_token";
    case NodeKind::kRefreshToken:
      return "refresh_token";
  }
  return "access_token";
}

}  // namespace behalf
