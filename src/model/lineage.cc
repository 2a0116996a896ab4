#include "model/lineage.h"

namespace behalf {

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
