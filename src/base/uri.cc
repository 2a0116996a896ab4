#include "base/uri.h"

#include <algorithm>
#include <charconv>

namespace behalf {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

bool is_scheme(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace

std::optional<UriParts> split_uri(std::string_view text) {
  constexpr std::string_view kForbidden = "\"<>\\^`{|}";
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7F || kForbidden.find(c) != std::string_view::npos) return std::nullopt;
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon))) return std::nullopt;
  UriParts parts;
  parts.scheme = text.substr(0, colon);
  std::string_view rest = text.substr(colon + 1);
  if (const size_t hash = rest.find('#'); hash != std::string_view::npos) {
    parts.fragment = rest.substr(hash + 1);
    rest = rest.substr(0, hash);
  }
  if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
    parts.query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const size_t slash = rest.find('/');
    parts.authority = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
  }
  parts.path = rest;
  return parts;
}

std::optional<Authority> split_authority(std::string_view authority) {
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  Authority result;
  std::string_view after;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    result.host = authority.substr(0, close + 1);
    after = authority.substr(close + 1);
  } else {
    const size_t colon = authority.find(':');
    result.host = authority.substr(0, colon);
    after = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
  }
  if (result.host.empty()) return std::nullopt;
  if (after.empty()) return result;
  unsigned port = 0;
  const auto [end, fault] = std::from_chars(after.data() + 1, after.data() + after.size(), port);
  if (after[0] != ':' || fault != std::errc{} || end != after.data() + after.size() || port > 65535)
    return std::nullopt;
  result.port = after.substr(1);
  return result;
}

bool is_loopback_host(std::string_view host) {
  return host == "127.0.0.1" || host == "[::1]" || host == "localhost";
}

bool is_loopback_address(std::string_view address) {
  if (address == "::1" || address == "localhost") return true;
  if (!address.starts_with("127.")) return false;
  int parts = 0;
  const char* at = address.data();
  const char* const end = at + address.size();
  for (; parts < 4; ++parts) {
    unsigned value = 0;
    const auto [next, fault] = std::from_chars(at, end, value);
    if (fault != std::errc{} || value > 255) return false;
    at = next;
    if (at == end) return parts == 3;
    if (*at++ != '.') return false;
  }
  return false;
}

bool is_registrable_redirect(std::string_view uri) {
  const auto parts = split_uri(uri);
  if (!parts || parts->fragment) return false;
  if (parts->scheme == "https" || parts->scheme == "http") {
    if (!parts->authority) return false;
    const auto authority = split_authority(*parts->authority);
    if (!authority) return false;
    return parts->scheme == "https" || is_loopback_host(authority->host);
  }
  // Private-use schemes are reversed domain names, so they have a dot; that also keeps javascript:, data: and
  // file: out.
  const std::string scheme = lowered(parts->scheme);
  return scheme == parts->scheme && scheme.find('.') != std::string::npos && !parts->path.empty();
}

bool redirect_matches(std::string_view registered, std::string_view presented) {
  if (registered == presented) return true;
  const auto ours = split_uri(registered);
  const auto theirs = split_uri(presented);
  if (!ours || !theirs || ours->scheme != "http" || theirs->scheme != "http") return false;
  if (!ours->authority || !theirs->authority || theirs->fragment) return false;
  const auto our_authority = split_authority(*ours->authority);
  const auto their_authority = split_authority(*theirs->authority);
  return our_authority && their_authority && is_loopback_host(our_authority->host) &&
         our_authority->host == their_authority->host && ours->path == theirs->path &&
         ours->query == theirs->query;
}

std::optional<std::string> canonical_resource(std::string_view uri) {
  const auto parts = split_uri(uri);
  if (!parts || parts->fragment) return std::nullopt;
  const std::string scheme = lowered(parts->scheme);
  if (!parts->authority) return std::string(uri);
  const auto authority = split_authority(*parts->authority);
  if (!authority) return std::nullopt;
  std::string text = scheme + "://" + lowered(authority->host);
  const bool default_port =
      (scheme == "https" && authority->port == "443") || (scheme == "http" && authority->port == "80");
  if (!authority->port.empty() && !default_port) {
    text.push_back(':');
    text += authority->port;
  }
  text += parts->path.empty() ? std::string_view("/") : parts->path;
  if (parts->query) {
    text.push_back('?');
    text += *parts->query;
  }
  return text;
}

std::string display_host(std::string_view uri) {
  const auto parts = split_uri(uri);
  if (!parts) return {};
  if (!parts->authority || (parts->scheme != "http" && parts->scheme != "https"))
    return std::string(parts->scheme) + ":";
  const auto authority = split_authority(*parts->authority);
  if (!authority) return {};
  const bool says_port = !authority->port.empty() && !is_loopback_host(authority->host);
  return std::string(authority->host) + (says_port ? ":" + std::string(authority->port) : std::string{});
}

}  // namespace behalf
