#include "behalf/bearer.h"

#include <algorithm>
#include <array>

namespace behalf::sdk {
namespace {

// b64token (RFC 6750 §2.1): 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
constexpr auto kIsTokenLetter = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_token(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return kIsTokenLetter[static_cast<unsigned char>(c)]; });
}

// Schemes do not depend on case (RFC 9110 §11.1).
bool is_bearer(std::string_view scheme) {
  constexpr std::string_view kBearer = "bearer";
  return std::equal(scheme.begin(), scheme.end(), kBearer.begin(), kBearer.end(),
                    [](char sent, char known) { return (sent | 0x20) == known; });
}

bool names_token(std::string_view query) {
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    if (field.substr(0, field.find('=')) == "access_token") return true;
    query.remove_prefix(std::min(query.size(), field.size() + 1));
  }
  return false;
}

}  // namespace

BearerToken read_bearer(const std::vector<std::string_view>& authorization, std::string_view query) {
  using Status = BearerToken::Status;
  if (names_token(query) || authorization.size() > 1) return {Status::kMalformed, {}};
  if (authorization.empty()) return {Status::kNone, {}};
  const std::string_view value = authorization.front();
  const size_t end = std::min(value.find_first_of(" \t,"), value.size());
  if (!is_bearer(value.substr(0, end))) return {Status::kNone, {}};
  std::string_view token = value.substr(end);
  // STRICTER: RFC 6750 allows several spaces; two readers that differ about one would see two tokens.
  if (!token.starts_with(' ')) return {Status::kMalformed, {}};
  token.remove_prefix(1);
  if (!is_token(token)) return {Status::kMalformed, {}};
  return {Status::kPresent, token};
}

}  // namespace behalf::sdk
