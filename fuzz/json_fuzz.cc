// JSON: what is accepted must survive being written and parsed again, unchanged.
#include <cstdlib>
#include <string_view>

#include "base/json.h"

namespace {

// Fractions may lose their last digit on the way through decimal text; everything else must not change.
bool has_fraction(const behalf::json::Value& value) {
  if (value.number() != nullptr) return true;
  if (const auto* array = value.array()) {
    for (const auto& item : *array) {
      if (has_fraction(item)) return true;
    }
  }
  if (const auto* object = value.object()) {
    for (const auto& member : *object) {
      if (has_fraction(member.value)) return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace behalf;
  const auto value = json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const auto again = json::parse(json::write(*value), {.bytes = 1024 * 1024, .depth = 16});
  if (!again || (!has_fraction(*value) && !(*again == *value))) std::abort();
  const auto pretty = json::parse(json::write_pretty(*value), {.bytes = 4 * 1024 * 1024, .depth = 16});
  if (!pretty || (!has_fraction(*value) && !(*pretty == *value))) std::abort();
  return 0;
}
