#include "behalf/bearer.h"

#include <algorithm>

#include "base/blocks.h"

namespace behalf::sdk {
namespace {

// True of a letter, and of each letter of a block, that is none of ALPHA / DIGIT / "-" / "." / "_" / "~" /
// "+" / "/";
// "-" to "9" stand in one row.
template <class Letters>
auto is_other(Letters letters) {
  const Letters small = letters | 0x20;
  const auto is_alpha = Letters(small - 'a') < 26;
  const auto is_in_row = Letters(letters - '-') <= '9' - '-';
  return !(is_alpha | is_in_row | (letters == '_') | (letters == '~') | (letters == '+'));
}

// b64token (RFC 6750 §2.1): 1*( letter ) *"=".
bool is_token(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.empty()) return false;
  if (text.size() >= kBlock)
    return !any_in(text.data(), text.size(), [](Block letters) { return mask(is_other(letters)); });
  return std::none_of(text.begin(), text.end(),
                      [](char letter) { return is_other(static_cast<unsigned char>(letter)); });
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
