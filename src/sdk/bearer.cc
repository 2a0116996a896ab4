#include "behalf/bearer.h"

#include <algorithm>

namespace behalf::sdk {
namespace {

// One of ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/", of which "-" to "9" stand in one row.
constexpr bool is_token_letter(unsigned char letter) {
  const bool is_alpha = static_cast<unsigned char>((letter | 0x20) - 'a') < 26;
  const bool is_in_row = static_cast<unsigned char>(letter - '-') <= '9' - '-';
  return is_alpha | is_in_row | (letter == '_') | (letter == '~') | (letter == '+');
}

// b64token (RFC 6750 §2.1): 1*( letter ) *"=". Whole blocks without a way out, which compilers make into a
// few instructions each.
bool is_token(std::string_view text) {
  constexpr size_t kBlock = 16;
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.empty()) return false;
  for (; text.size() >= kBlock; text.remove_prefix(kBlock)) {
    unsigned char others = 0;
    for (size_t i = 0; i < kBlock; ++i)
      others |= static_cast<unsigned char>(!is_token_letter(static_cast<unsigned char>(text[i])));
    if (others != 0) return false;
  }
  return std::all_of(text.begin(), text.end(),
                     [](char letter) { return is_token_letter(static_cast<unsigned char>(letter)); });
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
