// libsodium must be initialised once before anything else of it is called; every user of it in this folder
// starts with `ensure_sodium()`. After the first call that is one load and a branch.
#pragma once

#include <sodium.h>

#include <stdexcept>

namespace behalf::crypto {

inline void ensure_sodium() {
  static const int outcome = sodium_init();
  if (outcome < 0) throw std::runtime_error("libsodium does not start");
}

}  // namespace behalf::crypto
