// URIs where the protocol compares or stores them. Comparison is exact text, except where a rule says
// otherwise.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace behalf {

// scheme ":" ["//" authority] path ["?" query] ["#" fragment], by RFC 3986 Appendix B; checks characters
// only.
struct UriParts {
  std::string_view scheme;
  std::optional<std::string_view> authority;
  std::string_view path;
  std::optional<std::string_view> query;
  std::optional<std::string_view> fragment;
};
// Nothing unless `text` is an absolute URI of printable ASCII without space, quotes, backslash, or angle
// brackets.
std::optional<UriParts> split_uri(std::string_view text);

struct Authority {
  std::string_view host;  // with brackets for IPv6
  std::string_view port;  // empty if absent
};
// Nothing if there is userinfo, an empty host or a port that is no number.
std::optional<Authority> split_authority(std::string_view authority);

// True for 127.0.0.1, [::1] and localhost, spelled exactly so.
bool is_loopback_host(std::string_view host);

// True for a numeric loopback address (127.0.0.0/8, ::1) and for "localhost": where a listener cannot be
// reached from afar. A name that merely begins with "127." is none.
bool is_loopback_address(std::string_view address);

// What may be registered as a redirect URI: https; http on a loopback host; a private-use scheme with a dot
// (RFC 8252 §7.1). No fragment, no userinfo.
bool is_registrable_redirect(std::string_view uri);

// RFC 6749 §3.1.2.3 and RFC 8252 §7.3: equal byte for byte, or, for http on a registered loopback host, equal
// but for the port.
bool redirect_matches(std::string_view registered, std::string_view presented);

// The form in which resource identifiers are compared (RFC 8707): scheme and host in lower case, default port
// dropped, empty path as "/". Nothing if it is not absolute or has a fragment. `urn:` and the like are left
// as they are.
std::optional<std::string> canonical_resource(std::string_view uri);

// "app.example" or "127.0.0.1" for people to read; for private-use schemes, the scheme.
std::string display_host(std::string_view uri);

}  // namespace behalf
