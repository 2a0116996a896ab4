// The inside of KeySource, for those who verify with it: the keys there are at one moment, and the thread
// that renews them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "behalf/keys.h"
#include "crypto/jwk.h"
#include "http/client.h"

namespace behalf::sdk {

using KeySet = std::vector<crypto::VerifyingKey>;

struct __attribute__((visibility("hidden"))) KeySource::Impl {  // of a class that is shown
  explicit Impl(Options given) : options(std::move(given)) {}
  ~Impl();

  // Null: none could be fetched, or the newest is older than may be trusted.
  std::shared_ptr<const KeySet> current() const;
  // The same for who did not find that key in it: asks for a fetch if one is due, and waits for it shortly.
  std::shared_ptr<const KeySet> wait_for_key(std::string_view key_id);
  bool has(std::string_view key_id) const;
  // That very key, not another under its id.
  bool has(std::string_view key_id, std::string_view thumbprint) const;
  // Changes whenever a key was added or taken away.
  uint64_t version() const { return changes.load(std::memory_order_acquire); }
  bool is_trusted(Milliseconds steady) const { return steady < good_until.load(std::memory_order_acquire); }

  void start();
  std::string fetch();  // empty, or why not
  void install(KeySet keys, Milliseconds until);
  void forget(std::string_view key_id);

  const Options options;
  std::atomic<uint64_t> changes{0};
  std::atomic<Milliseconds> good_until{0};  // steady

 private:
  void run();
  KeySet fetch_keys();

  mutable std::mutex mutex_;
  std::shared_ptr<const KeySet> keys_;  // without the forgotten ones
  std::set<std::string, std::less<>> forgotten_;
  std::string trouble_;
  bool stopping_ = false;
  bool wanted_ = true;  // a fetch is asked for
  bool fetching_ = false;
  uint64_t attempts_ = 0;
  Milliseconds pause_until_ = 0;  // no fetch for unknown keys before this
  std::condition_variable changed_;

  std::mutex one_fetch_;
  http::Interrupt interrupt_;
  std::thread thread_;
  friend class KeySource;
};

}  // namespace behalf::sdk
