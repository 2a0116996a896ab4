// The event loop a suspended coroutine must continue on. Whoever answers from another thread (the
// committer, the password pool) notes Loop::current() when the wait begins and posts there when it ends.
#pragma once

#include <functional>

namespace behalf {

class Loop {
 public:
  virtual ~Loop() = default;
  // Runs `work` soon on the loop's thread. Thread-safe.
  virtual void post(std::function<void()> work) = 0;

  // The loop of this thread; null outside any.
  static Loop* current();

 protected:
  static void set_current(Loop* loop);
};

}  // namespace behalf
