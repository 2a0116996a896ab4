// The one door to OpenSSL, for the .cc files of this folder only: owners for its handles, and its errors as
// exceptions. A failure here is broken machinery (no memory, no entropy), never a reaction to what a peer
// sent; the callers decide about input themselves and use `drop_errors` where OpenSSL says no.
#pragma once

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace behalf::crypto {

class CryptoFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Release {
  void operator()(EVP_PKEY* handle) const { EVP_PKEY_free(handle); }
  void operator()(EVP_PKEY_CTX* handle) const { EVP_PKEY_CTX_free(handle); }
  void operator()(EVP_MD_CTX* handle) const { EVP_MD_CTX_free(handle); }
  void operator()(EVP_MAC* handle) const { EVP_MAC_free(handle); }
  void operator()(EVP_MAC_CTX* handle) const { EVP_MAC_CTX_free(handle); }
  void operator()(BIGNUM* handle) const { BN_clear_free(handle); }
  void operator()(BN_CTX* handle) const { BN_CTX_free(handle); }
  void operator()(OSSL_PARAM_BLD* handle) const { OSSL_PARAM_BLD_free(handle); }
  void operator()(OSSL_PARAM* handle) const { OSSL_PARAM_free(handle); }
};

template <class Handle>
using Owner = std::unique_ptr<Handle, Release>;

[[noreturn]] inline void throw_fault(const char* operation) {
  char reason[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, reason, sizeof reason);
  ERR_clear_error();
  throw CryptoFault(std::string(operation) + ": " + reason);
}

inline void ensure(int outcome, const char* operation) {
  if (outcome <= 0) throw_fault(operation);
}

// Takes over a fresh handle.
template <class Handle>
Owner<Handle> own(Handle* handle, const char* operation) {
  if (handle == nullptr) throw_fault(operation);
  return Owner<Handle>(handle);
}

// The error queue is per thread; what is left in it would be blamed on the next operation.
inline void drop_errors() { ERR_clear_error(); }

// Prepared contexts waiting for their next use. Preparing one costs more than what it is for, and a context
// is no good to two threads at once; so each use takes one, or makes one, and gives it back. One that is not
// given back (an exception) is simply freed. Thread-safe.
template <class Context>
class IdleContexts {
 public:
  // An idle one, or null: then the caller makes one.
  Owner<Context> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    Owner<Context> context = std::move(idle_.back());
    idle_.pop_back();
    return context;
  }
  void give_back(Owner<Context> context) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMost) idle_.push_back(std::move(context));
  }

 private:
  static constexpr size_t kMost = 16;
  std::mutex mutex_;
  std::vector<Owner<Context>> idle_;
};

}  // namespace behalf::crypto
