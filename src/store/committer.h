// Group commit: many works, one transaction, one fsync.
//
// One thread owns the writing connection, every commit and every checkpoint. It takes whatever waits, begins,
// runs the works back to back, tells their callers "decided" (they sign meanwhile), commits, and tells them
// "durable". There are no savepoints: if a work throws, the batch is rolled back and run again as two halves,
// and so on until the fault stands alone. So works must be repeatable: no network, clock or randomness
// inside. A refusal, which is a value, commits; a fault rolls back
// (docs/decisions/0002-refusals-commit-faults-roll-back.md).
#pragma once

#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>

#include "store/connect.h"

namespace behalf::store {

struct CommitterHooks {
  // Runs first in every transaction: take the head row's lock, refresh caches.
  std::function<void(Database&)> begin_batch;
  // Runs last in every transaction, before the commit: write the head row back.
  std::function<void(Database&)> end_batch;
  // After the commit, before callers hear of it: publish snapshots. Must not throw.
  std::function<void()> committed;
  // After any rollback, also one whose outcome is unknown: drop caches that may hold what did not happen.
  // Must not throw.
  std::function<void()> rolled_back;
};

class Committer {
 public:
  static constexpr size_t kMaxQueue = 4096;  // beyond it: StoreUnavailable at once
  static constexpr size_t kMaxBatch = 512;
  static constexpr int kMaxConflicts = 3;  // repetitions after a StoreConflict, then StoreUnavailable

  // Opens the writing connection; throws StoreUnavailable. Hooks may be empty.
  Committer(std::unique_ptr<Connector> connector, CommitterHooks hooks);
  ~Committer();  // finishes what is queued
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // One work on its way. First `co_await decided()`, then (optionally do other things, then) `co_await
  // durable()`; or only the latter. Both resume on the caller's Loop (or on the committing thread if there is
  // none) and rethrow the fault if the work threw or the batch could not be committed. An await that comes
  // late does not suspend. Each may be awaited once. A Pending may be destroyed before durable() (the work
  // happens all the same), but not while it is awaited.
  class Pending {
    struct State;
    enum class Phase { decided, durable };

   public:
    class [[nodiscard]] Awaiter {
     public:
      bool await_ready() const noexcept;
      bool await_suspend(std::coroutine_handle<> caller);
      void await_resume() const;

     private:
      friend class Pending;
      Awaiter(State& state, Phase phase) : state_(state), phase_(phase) {}
      State& state_;
      Phase phase_;
    };
    Awaiter decided() { return {*state_, Phase::decided}; }
    Awaiter durable() { return {*state_, Phase::durable}; }

   private:
    friend class Committer;
    explicit Pending(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // Thread-safe. `work` runs on the committing thread, perhaps several times; what it refers to must live
  // until durable (or the fault) has been awaited. Throws StoreUnavailable if the queue is full.
  Pending submit(std::function<void(Database&)> work);

  // The newest batch could not be committed: what would be written now would probably be refused. Any thread.
  bool is_failing() const;

  // Submits and blocks until durable: start-up, tests, tools. Not on a loop thread, not inside a work.
  void run(std::function<void(Database&)> work);

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace behalf::store
