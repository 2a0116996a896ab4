#include "oauth/signals/push_target.h"

#include <algorithm>

#include "base/uri.h"

namespace behalf::oauth {

bool may_push_to(const std::vector<std::string>& hosts, std::string_view url) {
  const auto parts = split_uri(url);
  if (!parts || !parts->authority || parts->fragment) return false;
  const auto authority = split_authority(*parts->authority);
  const bool is_secure = parts->scheme == "https";
  if (!authority || (!is_secure && (parts->scheme != "http" || !is_loopback_host(authority->host))))
    return false;
  const std::string_view usual = is_secure ? "443" : "80";
  const std::string_view port = authority->port.empty() ? usual : authority->port;
  const std::string host(authority->host);
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& allowed) {
    return allowed == host + ":" + std::string(port) || (allowed == host && port == usual);
  });
}

}  // namespace behalf::oauth
