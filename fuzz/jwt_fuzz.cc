// Any text as a JWT: parsed, and where it parses, verified against fixed public keys with every expectation
// relaxed that can be relaxed. Nothing here can sign for these keys, so whatever verifies is a forgery.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "crypto/jwt.h"

namespace {

using namespace behalf;
using namespace behalf::crypto;

std::vector<VerifyingKey> fixed_keys() {
  std::vector<VerifyingKey> keys;
  for (const std::string_view text :
       {R"({"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"2","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"}) {
    const auto jwk = json::parse(text);
    if (!jwk) std::abort();
    auto key = VerifyingKey::import(*jwk);
    if (!key) std::abort();
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  static const std::vector<VerifyingKey> keys = fixed_keys();
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto jwt = EncodedJwt::parse(text);
  if (!jwt) return 0;
  // One spelling per JWT: parts that decode must encode to what was read.
  const size_t end_of_header = text.find('.');
  const auto header = decode_base64url(text.substr(0, end_of_header));
  if (!header || base64url(*header) != text.substr(0, end_of_header)) std::abort();

  const std::string_view types[] = {"", "jwt", "at+jwt", jwt->type()};
  for (const JwtKind kind : {JwtKind::kToken, JwtKind::kProof}) {
    Expectations expected;
    expected.types = types;
    expected.audience_rule = AudienceRule::kIgnore;
    expected.longest_life = Seconds{0};
    expected.require_jti = false;
    expected.kind = kind;
    if (verify(*jwt, expected, keys, UnixTime::from_seconds(1))) std::abort();
    expected.audience_rule = AudienceRule::kContains;
    if (verify(*jwt, expected, keys, UnixTime::from_seconds(1'800'000'000))) std::abort();
  }
  return 0;
}
