#include "guard/onward.h"

#include <algorithm>
#include <array>

#include "guard/identity.h"

namespace behalf::guard {
namespace {

// Which request it is, and from where, other than by its first line: an API that believes one of these acts
// on something else than what was decided. Spelled folded.
constexpr std::array<std::string_view, 14> kOverrides = {
    "forwarded",        "x-forwarded-for",    "x-forwarded-host", "x-forwarded-proto",
    "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-uri",  "x-forwarded-method",
    "x-original-uri",   "x-original-url",     "x-rewrite-url",    "x-http-method-override",
    "x-http-method",    "x-method-override"};

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
  return is_ours(name) || std::find(kOverrides.begin(), kOverrides.end(), plain) != kOverrides.end() ||
         plain == "host" || plain == "expect" || plain == "x-real-ip" || plain == "x-original-method" ||
         (plain == "authorization" && !settings.pass_token);
}

bool asks_for_websocket(const http::Request& request) {
  const std::string* upgrade = request.headers.find("Upgrade");
  return request.method == "GET" && request.headers.count("Upgrade") == 1 && upgrade->size() == 9 &&
         folded(*upgrade) == "websocket" && http::is_connection_option(request.headers, "Upgrade");
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
