// Any JSON as a JWK, as a private JWK and as a key set. What is accepted must have a thumbprint that another
// import of the same members agrees with, and must refuse a signature of zeros.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "crypto/jwk.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  using namespace behalf;
  using namespace behalf::crypto;
  const auto document = json::parse({reinterpret_cast<const char*>(bytes), size});
  if (!document) return 0;
  if (const auto key = VerifyingKey::import(*document)) {
    const auto again = VerifyingKey::import(*json::parse(json::write(*document)));
    if (!again || again->thumbprint() != key->thumbprint() || key->thumbprint().size() != 43) std::abort();
    for (const size_t length : {size_t{0}, size_t{64}, size_t{256}}) {
      if (key->verify("message", std::string(length, '\0'))) std::abort();
    }
  }
  if (const auto keys = import_key_set(*document); keys && keys->size() > kMaxKeys) std::abort();
  // Checking a large RSA key takes the machine a while, which is fine for a key of one's own and not here.
  const std::string* modulus = document->find_string("n");
  if (modulus != nullptr && modulus->size() > 400) return 0;
  if (const auto key = SigningKey::import(*document)) {
    if (!key->verifying_key().verify("message", key->sign("message"))) std::abort();
  }
  return 0;
}
