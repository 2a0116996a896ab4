#include "guard/asked.h"

#include <algorithm>

#include "http/forward.h"

namespace behalf::guard {
namespace {

constexpr std::string_view kCredential = "Behalf-Guard-Credential";
constexpr std::string_view kToken = "access_token";
// Headers that belong to the request, not to the connection it came by.
constexpr std::string_view kDecidedBy[] = {
    "Authorization", "Content-Encoding", "Content-Length", "Content-Type", "Cookie",
    "Host",          "Origin",           "Range"};

bool same_letter(char a, char b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return lower(a) == lower(b);
}

bool same_word(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), same_letter);
}

// The one value of that name; nothing if there is none, or more than one.
const std::string* only(const http::Headers& headers, std::string_view name) {
  return headers.count(name) == 1 ? headers.find(name) : nullptr;
}

std::string_view value_or_empty(const http::Headers& headers, std::string_view name) {
  const std::string* value = only(headers, name);
  return value == nullptr ? std::string_view() : std::string_view(*value);
}

// RFC 9110 §5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool split_target(std::string_view target, Asked& asked) {
  const bool printable =
      std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!target.starts_with('/') || !printable || target.find('#') != std::string_view::npos) return false;
  const size_t question = std::min(target.find('?'), target.size());
  asked.path = target.substr(0, question);
  asked.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

void read_headers(const http::Request& request, Asked& asked) {
  for (const http::Header& header : request.headers.list()) {
    if (same_word(header.name, "Authorization")) asked.authorization.push_back(header.value);
  }
  asked.content_type = value_or_empty(request.headers, "Content-Type");
  // Two of them are no content type at all; parse_rpc refuses an unknown coding.
  asked.content_encoding = request.headers.count("Content-Encoding") > 1
                               ? std::string_view("unclear")
                               : value_or_empty(request.headers, "Content-Encoding");
  if (request.headers.count("Content-Type") > 1) asked.doubt = "there are two Content-Type headers";
  asked.traceparent = value_or_empty(request.headers, "traceparent");
  asked.peer = request.peer;
}

bool has_token_field(std::string_view form) {
  while (!form.empty()) {
    const std::string_view field = form.substr(0, form.find_first_of("&;"));
    form.remove_prefix(std::min(form.size(), field.size() + 1));
    const std::string_view raw = field.substr(0, field.find('='));
    const auto name = http::percent_decode(raw, http::Plus::kSpace);
    if (same_word(name ? std::string_view(*name) : raw, kToken)) return true;
  }
  return false;
}

}  // namespace

std::variant<Asked, NotAsked> read_asked(const Settings& settings, const http::Request& request) {
  const bool is_prefix = settings.dialect == Dialect::kEnvoy;
  std::string_view path = request.path;
  const bool here = is_prefix ? path.starts_with(settings.decide_path) &&
                                    path.substr(settings.decide_path.size()).starts_with('/')
                              : path == settings.decide_path;
  if (!here) return NotAsked::kElsewhere;
  if (settings.needs_credential) {
    const std::string* shown = only(request.headers, kCredential);
    if (shown == nullptr || !constant_time_equal(*shown, settings.credential.reveal()))
      return NotAsked::kNoCredential;
  }
  Asked asked;
  read_headers(request, asked);
  switch (settings.dialect) {
    case Dialect::kNginx:
    case Dialect::kForward: {
      const bool nginx = settings.dialect == Dialect::kNginx;
      const std::string* method = only(request.headers, nginx ? "X-Original-Method" : "X-Forwarded-Method");
      const std::string* target = only(request.headers, nginx ? "X-Original-URI" : "X-Forwarded-Uri");
      if (method == nullptr || target == nullptr || !is_token(*method) || !split_target(*target, asked))
        return NotAsked::kUnclear;
      asked.method = *method;
      break;
    }
    case Dialect::kEnvoy:
      asked.method = request.method;
      asked.path = path.substr(settings.decide_path.size());
      asked.query = request.query;
      break;
    case Dialect::kProxy:
      return NotAsked::kElsewhere;
  }
  // The body comes along where the proxy was told to send it (Envoy: with_request_body; Traefik:
  // forwardBody).
  const std::string* part = request.headers.find("x-envoy-auth-partial-body");
  const bool whole = part == nullptr || *part == "false";
  if (!request.body.empty() && whole) asked.body = request.body;
  asked.wants_tunnel = request.headers.find("Upgrade") != nullptr;
  return asked;
}

bool asks_for_websocket(const http::Request& request) {
  const std::string* upgrade = request.headers.find("Upgrade");
  return upgrade != nullptr && request.method == "GET" && request.headers.count("Upgrade") == 1 &&
         same_word(*upgrade, "websocket") && http::is_connection_option(request.headers, "Upgrade");
}

Asked read_own(const http::Request& request, std::optional<std::string_view> body) {
  Asked asked;
  asked.method = request.method;
  asked.path = request.path;
  asked.query = request.query;
  read_headers(request, asked);
  asked.body = body;
  asked.wants_tunnel = asks_for_websocket(request);
  // What a Connection header names does not go on (RFC 9110 §7.6.1): the API would get another request than
  // the one that is decided.
  for (const http::Header& header : request.headers.list()) {
    if (!same_word(header.name, "Connection") || same_word(header.value, "keep-alive")) continue;
    for (const std::string_view name : kDecidedBy) {
      if (http::is_connection_option(request.headers, name))
        asked.doubt = "Connection names a header of the request";
    }
    break;
  }
  return asked;
}

bool is_form(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return same_word(type, "application/x-www-form-urlencoded");
}

bool has_stray_token(const Asked& asked) {
  return has_token_field(asked.query) ||
         (asked.body && is_form(asked.content_type) && has_token_field(*asked.body));
}

}  // namespace behalf::guard
