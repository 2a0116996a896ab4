// The real source of randomness: OpenSSL's generator, which the operating system seeds, read a kilobyte at a
// time.
//
// A call to the generator costs much the same for 32 bytes as for a thousand, and every token, code and
// identifier wants some. So each thread keeps a stock; bytes are wiped as they are handed out, the rest when
// the thread ends, and a forked child starts with none, or parent and child would issue the same tokens.
#include <openssl/rand.h>
#include <pthread.h>
#include <strings.h>

#include <array>
#include <cstring>

#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace behalf::crypto {
namespace {

constexpr size_t kStock = 1024;
constexpr size_t kMostPerCall = size_t{1} << 20;

class Stock {
 public:
  Stock() = default;
  Stock(const Stock&) = delete;
  Stock& operator=(const Stock&) = delete;
  ~Stock() { forget(); }

  void forget() {
    explicit_bzero(bytes_.data(), bytes_.size());
    left_ = 0;
  }

  // At most kStock bytes.
  void take(std::span<unsigned char> out) {
    if (out.size() > left_) {
      ensure(RAND_bytes(bytes_.data(), static_cast<int>(bytes_.size())), "random bytes");
      left_ = bytes_.size();
    }
    unsigned char* next = bytes_.data() + (left_ - out.size());
    std::memcpy(out.data(), next, out.size());
    explicit_bzero(next, out.size());
    left_ -= out.size();
  }

 private:
  std::array<unsigned char, kStock> bytes_{};
  size_t left_ = 0;
};

Stock& thread_stock() {
  thread_local Stock stock;
  return stock;
}

// Only the thread that forks lives on in the child, so its stock is the only one to forget.
void forget_after_fork() {
  static const int outcome = pthread_atfork(nullptr, nullptr, [] { thread_stock().forget(); });
  if (outcome != 0) throw CryptoFault("random bytes: cannot watch for forks");
}

}  // namespace

void SystemRandom::fill(std::span<unsigned char> out) {
  if (out.empty()) return;
  forget_after_fork();
  if (out.size() <= kStock) return thread_stock().take(out);
  while (!out.empty()) {
    const size_t part = std::min(out.size(), kMostPerCall);
    ensure(RAND_bytes(out.data(), static_cast<int>(part)), "random bytes");
    out = out.subspan(part);
  }
}

}  // namespace behalf::crypto
