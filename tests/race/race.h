// Starting many at the same moment, and counting those who say that they were the one.
#pragma once

#include <atomic>
#include <barrier>
#include <functional>
#include <thread>
#include <vector>

namespace behalf::test {

// Calls `attempt(i)` for i < count, each on a thread of its own, none before all are there.
inline void all_at_once(int count, const std::function<void(int)>& attempt) {
  std::barrier start(count);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      attempt(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace behalf::test
