// Where events may be pushed to: the operator names the hosts, and nobody else
// can make this server call out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace behalf::oauth {

// `url` is https (or http on a loopback host) at one of `hosts`, each "host"
// (port 443, or 80) or "host:port".
bool may_push_to(const std::vector<std::string>& hosts, std::string_view url);

}  // namespace behalf::oauth
