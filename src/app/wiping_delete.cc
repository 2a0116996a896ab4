// What is given back is wiped: passwords, secrets, codes and verifiers pass through strings of many makers
// (the parser, the form, the record of a request), and none of them must stay behind for whoever reads this
// memory one day.
#include <malloc.h>
#include <string.h>

#include <cstdlib>
#include <new>

namespace {

void wipe_and_free(void* memory, std::size_t size) noexcept {
  explicit_bzero(memory, size);
  std::free(memory);
}
void wipe_and_free(void* memory) noexcept {
  if (memory != nullptr) wipe_and_free(memory, malloc_usable_size(memory));
}

}  // namespace

void operator delete(void* memory) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory) noexcept { wipe_and_free(memory); }
// The size that was asked for: nothing was written beyond it. Null has none.
void operator delete(void* memory, std::size_t size) noexcept {
  if (memory != nullptr) wipe_and_free(memory, size);
}
void operator delete[](void* memory, std::size_t) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { wipe_and_free(memory); }
