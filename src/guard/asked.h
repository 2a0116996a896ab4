// What is asked of the guard, in each dialect: the request that the API would act on, and where its token
// stands. What a client can write is never taken for what the proxy in front has to say (security: decision
// port).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "guard/config.h"
#include "http/message.h"

namespace behalf::guard {

// A request at the API. Views point into the http::Request it was read from.
struct Asked {
  std::string_view method;
  std::string_view path;   // raw
  std::string_view query;  // raw
  std::vector<std::string_view> authorization;
  std::string_view content_type;
  std::string_view content_encoding;
  std::optional<std::string_view> body;  // nothing: it was not read, or did not come whole
  std::string_view traceparent;
  std::string_view peer;
  bool wants_tunnel = false;  // `Upgrade`: what comes then is no request
  // What in the head can be read in two ways; empty: nothing.
  std::string_view doubt;
};

// Why nothing can be decided. None of these says anything about the policy.
enum class NotAsked {
  kElsewhere,     // this path is not where decisions are made
  kNoCredential,  // the proxy's secret is missing or wrong
  kUnclear,       // the proxy did not say, exactly once, what the request was
};

std::variant<Asked, NotAsked> read_asked(const Settings& settings, const http::Request& request);
// The request itself, for a guard that stands in front.
Asked read_own(const http::Request& request, std::optional<std::string_view> body);

// True if a proxy may turn this into a tunnel.
bool asks_for_websocket(const http::Request& request);

// True if a token is in the query or in a form body, under that name or a percent-encoding of it
// (RFC 6750 §2.2, §2.3): a place where it would be logged, and a second token beside the header's.
bool has_stray_token(const Asked& asked);
// True if the body must be seen to know that (a form).
bool is_form(std::string_view content_type);

}  // namespace behalf::guard
