// Base64, base64url and hex: one text for every byte sequence, so what is accepted is written back as it was.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace behalf;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = decode_base64url(text); bytes && base64url(*bytes) != text) std::abort();
  if (const auto bytes = decode_base64(text); bytes && base64(*bytes) != text) std::abort();
  if (decode_base64url(base64url(text)) != text || decode_base64(base64(text)) != text) std::abort();
  if (hex(text).size() != 2 * size) std::abort();
  // Well-formed UTF-8 stays so when two of it are put together.
  if (is_utf8(text) && !is_utf8(std::string(text) + std::string(text))) std::abort();
  return 0;
}
