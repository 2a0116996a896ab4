// Addresses: what may be registered matches itself and nothing that names another host; what is canonical
// stays so.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  using namespace behalf;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const size_t half = text.find('\n');
  const std::string_view one = text.substr(0, half);
  const std::string_view two = half == std::string_view::npos ? one : text.substr(half + 1);
  for (const std::string_view uri : {one, two}) {
    const auto parts = split_uri(uri);
    if (is_registrable_redirect(uri)) {
      if (!parts || parts->fragment || !redirect_matches(uri, uri)) std::abort();
      for (const char c : uri) {
        if (static_cast<unsigned char>(c) <= ' ' || c == '\\') std::abort();
      }
      // Anything longer is another address.
      for (const char* more : {"/", "x", "?", "#", "%", "@evil", ".evil"}) {
        if (redirect_matches(uri, std::string(uri) + more)) std::abort();
      }
    }
    if (parts && parts->authority) {
      if (const auto authority = split_authority(*parts->authority)) {
        if (authority->host.find_first_of("/@\\?#") != std::string_view::npos) std::abort();
        (void)is_loopback_host(authority->host);
      }
    }
    if (const auto canonical = canonical_resource(uri)) {
      if (canonical_resource(*canonical) != canonical || canonical->find('#') != std::string::npos)
        std::abort();
    }
  }
  // Two different registrable addresses match only by the port of a loopback address.
  if (is_registrable_redirect(one) && one != two && redirect_matches(one, two)) {
    const auto a = split_uri(one);
    const auto b = split_uri(two);
    if (!a || !b || a->scheme != "http" || a->path != b->path || a->query != b->query) std::abort();
    const auto host = split_authority(*a->authority);
    if (!host || !is_loopback_host(host->host) || host->host != split_authority(*b->authority)->host)
      std::abort();
  }
  return 0;
}
