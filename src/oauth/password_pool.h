// Password hashing costs a thousand signatures; it runs here, on a few threads of its own, never on a loop.
// The queue is bounded: beyond it the caller is told to come back (503), and tokens keep flowing meanwhile.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/secret.h"
#include "base/task.h"

namespace behalf::oauth {

class PasswordPool {
 public:
  static constexpr size_t kMaxQueue = 64;

  explicit PasswordPool(unsigned threads);
  ~PasswordPool();
  PasswordPool(const PasswordPool&) = delete;
  PasswordPool& operator=(const PasswordPool&) = delete;

  enum class Verdict { kRight, kWrong, kBusy };
  // An empty `phc` (unknown user, no password) costs the same and is always wrong.
  Task<Verdict> verify(std::string phc, Secret password);

  struct Hashed {
    bool busy = false;
    std::string phc;
  };
  Task<Hashed> hash(Secret password);

 private:
  bool enqueue(std::function<void()> job);
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace behalf::oauth
