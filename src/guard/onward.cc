#include "guard/onward.h"

#include <algorithm>
#include <iterator>

#include "guard/asked.h"
#include "guard/identity.h"

namespace behalf::guard {
namespace {

// What would make an API act on something else than what was decided, all spelled folded: which request it
// is and from where, other than by its first line; who asks, in the words of other proxies; and the framing,
// which is ours and goes by its own spelling alone.
constexpr std::string_view kDropped[] = {"authorization",     "cf-connecting-ip",
                                         "client-cert",       "client-cert-chain",
                                         "content-length",    "expect",
                                         "forwarded",         "host",
                                         "keep-alive",        "proxy",
                                         "transfer-encoding", "true-client-ip",
                                         "x-client-dn",       "x-client-ip",
                                         "x-client-verify",   "x-cluster-client-ip",
                                         "x-real-ip"};
constexpr std::string_view kDroppedFamilies[] = {
    "proxy-",        "remote-",  "ssl-client-", "x-auth-",   "x-client-cert", "x-envoy-", "x-forwarded-",
    "x-http-method", "x-method", "x-original-", "x-remote-", "x-rewrite-",    "x-ssl-"};

std::string folded(std::string_view name) {
  std::string out(name);
  for (char& letter : out) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter | 0x20);
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
    if (!plain) letter = '-';
  }
  return out;
}

bool is_dropped(const Settings& settings, std::string_view name) {
  const std::string plain = folded(name);
  if (plain == "authorization" && settings.pass_token) return false;
  if (is_ours(name) || std::find(std::begin(kDropped), std::end(kDropped), plain) != std::end(kDropped))
    return true;
  // Most names begin otherwise.
  if (plain.empty() || std::string_view("prsx").find(plain.front()) == std::string_view::npos) return false;
  return std::any_of(std::begin(kDroppedFamilies), std::end(kDroppedFamilies),
                     [&](std::string_view family) { return plain.starts_with(family); });
}

}  // namespace

http::Forward onward(const Settings& settings, const http::Request& request,
                     const IdentityHeaders& identity) {
  http::Forward forward;
  forward.origin = settings.origin;
  forward.target = request.query.empty() ? request.path : request.path + "?" + request.query;
  const http::Headers sent = http::end_to_end(request.headers);
  for (const http::Header& header : sent.list()) {
    if (!is_dropped(settings, header.name)) forward.headers.add(header.name, header.value);
  }
  forward.headers.add("Host", settings.origin_host);
  if (request.peer != "unix") forward.headers.add("X-Forwarded-For", request.peer);
  forward.headers.add("X-Forwarded-Proto",
                      settings.resource.public_url.starts_with("https:") ? "https" : "http");
  forward.headers.add("X-Forwarded-Host", settings.origin_host);
  for (const auto& [name, value] : identity) {
    if (!value.empty()) forward.headers.add(name, value);  // a client's own is gone already
  }
  if (settings.websocket && asks_for_websocket(request)) forward.upgrade = "websocket";
  return forward;
}

}  // namespace behalf::guard
