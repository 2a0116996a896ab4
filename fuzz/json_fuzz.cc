// JSON: what is accepted must survive being written and parsed again, unchanged.
#include <cstdlib>
#include <string_view>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace behalf;
  const auto value = json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const auto again = json::parse(json::write(*value), {.bytes = 1024 * 1024, .depth = 16});
  if (!again || !(*again == *value)) std::abort();
  const auto pretty = json::parse(json::write_pretty(*value), {.bytes = 4 * 1024 * 1024, .depth = 16});
  if (!pretty || !(*pretty == *value)) std::abort();
  return 0;
}
