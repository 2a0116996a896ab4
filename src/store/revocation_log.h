// The newest revocations in memory, and how a request waits for more.
//
// What this process commits is here before its caller hears of it. What another server on the same database
// commits is fetched: at once when somebody asks to be caught up, and every few milliseconds while somebody
// waits; nobody waits, nothing is asked.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/revocation.h"

namespace behalf {
class Loop;
}

namespace behalf::store {

using RevocationList = std::vector<std::shared_ptr<const Revocation>>;

class RevocationLog {
 public:
  static constexpr size_t kInMemory = 16 * 1024;
  static constexpr std::chrono::milliseconds kFetchInterval{20};

  // What the database has after that sequence. Runs on the log's thread; throws StoreUnavailable.
  using Fetch = std::function<RevocationList(int64_t after)>;

  RevocationLog();
  ~RevocationLog();
  RevocationLog(const RevocationLog&) = delete;
  RevocationLog& operator=(const RevocationLog&) = delete;

  int64_t newest() const;
  // Those after that sequence, oldest first, at most `limit`; nothing if memory does not reach back so far.
  std::optional<RevocationList> after(int64_t sequence, size_t limit) const;

  class [[nodiscard]] Awaiter {
   public:
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    bool await_ready() const;
    bool await_suspend(std::coroutine_handle<> caller);
    void await_resume() const;

   private:
    friend class RevocationLog;
    enum class For { kCaughtUp, kMore };
    Awaiter(RevocationLog& log, For what, int64_t seen, std::chrono::milliseconds patience)
        : log_(log), what_(what), seen_(seen), patience_(patience) {}
    RevocationLog& log_;
    For what_;
    int64_t seen_;
    std::chrono::milliseconds patience_;
    std::chrono::steady_clock::time_point deadline_;
    uint64_t ticket_ = 0;
    std::coroutine_handle<> caller_;
    Loop* loop_ = nullptr;
    std::exception_ptr fault_;
  };
  // Resumes when everything committed before this call, by whichever server, is here. Throws
  // StoreUnavailable.
  Awaiter caught_up() { return {*this, Awaiter::For::kCaughtUp, 0, {}}; }
  // Resumes when there is something newer than `seen`, when `patience` is at its end, or on close().
  Awaiter more(int64_t seen, std::chrono::milliseconds patience) {
    return {*this, Awaiter::For::kMore, seen, patience};
  }
  // The same for a thread of its own; never on a loop's.
  void wait_for_more(int64_t seen, std::chrono::milliseconds patience);
  // Ends every wait for more, as if time were up: something else than a revocation has happened.
  void stir();
  // Ends every wait, and those to come at once: the server stops.
  void close();
  bool is_closed() const;

  // The store's side. `fetch` is empty where no other process can write.
  void start(int64_t newest, RevocationList kept, Fetch fetch);
  // On the committing thread, after the commit.
  void publish(const RevocationList& committed);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::store
