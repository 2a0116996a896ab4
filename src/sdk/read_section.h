// Lets many threads read what one thread replaces, without a reader ever waiting: the writer swaps a pointer
// and keeps what it took away until no reader can still be looking at it.
//
// Readers count themselves in and out of the current generation. What was retired in a generation is freed
// when a later one has begun and nobody of the earlier is inside any more. Writers never wait either; while a
// reader lingers, what was retired stays a little longer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace behalf::sdk {

template <class Retired>
class ReadSections {
 public:
  // While it lives, nothing that was reachable when it began is freed.
  class Section {
   public:
    explicit Section(const ReadSections& sections) : count_(sections.enter()) {}
    ~Section() { count_->fetch_sub(1, std::memory_order_release); }
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

   private:
    std::atomic<uint32_t>* count_;
  };

  // Writers only, one at a time. `retired` is no longer reachable for readers that begin now.
  void retire(Retired retired) {
    generations_[generation_.load(std::memory_order_relaxed) & 1].push_back(std::move(retired));
    collect();
  }

 private:
  static constexpr size_t kCounters = 16;
  struct alignas(64) Counter {
    std::array<std::atomic<uint32_t>, 2> inside{};
  };

  std::atomic<uint32_t>* enter() const {
    thread_local const size_t mine = std::hash<std::thread::id>{}(std::this_thread::get_id()) % kCounters;
    for (;;) {
      const uint64_t generation = generation_.load(std::memory_order_seq_cst);
      std::atomic<uint32_t>* count = &counters_[mine].inside[generation & 1];
      count->fetch_add(1, std::memory_order_seq_cst);
      // Had a new generation begun in between, the writer might not have seen this reader.
      if (generation_.load(std::memory_order_seq_cst) == generation) return count;
      count->fetch_sub(1, std::memory_order_release);
    }
  }

  // A new generation may begin once nobody is left of the one before the current: then what that one retired
  // goes, and its place is free.
  void collect() {
    const uint64_t current = generation_.load(std::memory_order_relaxed);
    const size_t earlier = (current + 1) & 1;
    for (const Counter& counter : counters_) {
      if (counter.inside[earlier].load(std::memory_order_seq_cst) != 0) return;
    }
    generations_[earlier].clear();
    generation_.store(current + 1, std::memory_order_seq_cst);
  }

  std::atomic<uint64_t> generation_{0};
  mutable std::array<Counter, kCounters> counters_{};
  std::array<std::vector<Retired>, 2> generations_;
};

}  // namespace behalf::sdk
