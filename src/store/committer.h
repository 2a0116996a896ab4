// Group commit: many works, one transaction, one fsync.
//
// One thread owns the writing connection, every commit and every checkpoint. It takes whatever waits, begins,
// runs the works back to back, tells their callers "decided" (they sign meanwhile), commits, and tells them
// "durable". A work that throws rolls the batch back; the others run again without it (works are repeatable:
// no network, clock or randomness inside). So a refusal, which is a value, commits; a fault rolls back.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>

#include "base/task.h"
#include "store/connect.h"

namespace behalf::store {

struct CommitterHooks {
  // Runs first in every batch, inside the transaction: take the head row's lock, refresh caches.
  std::function<void(Database&)> begin_batch;
  // Runs last in every batch, before the commit: write the head row back.
  std::function<void(Database&)> end_batch;
  // After the commit, before callers hear of it: publish snapshots. Must not throw.
  std::function<void()> committed;
  // After any rollback: drop caches that may hold what did not happen. Must not throw.
  std::function<void()> rolled_back;
};

class Committer {
 public:
  static constexpr size_t kMaxQueue = 4096;      // beyond it: StoreUnavailable at once
  static constexpr size_t kMaxBatch = 512;

  Committer(std::unique_ptr<Connector> connector, CommitterHooks hooks);
  ~Committer();  // finishes what is queued
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // One work on its way. First `co_await decided()`, then (optionally do other things, then) `co_await durable()`.
  // Both resume on the caller's Loop (or on the committing thread if there is none) and rethrow the fault if the
  // work threw or the batch could not be committed. Destroying it before durable() is allowed; the work happens.
  class Pending {
   public:
    class Awaiter;
    Awaiter decided();
    Awaiter durable();

   private:
    friend class Committer;
    struct State;
    std::shared_ptr<State> state_;
  };
  // Thread-safe. `work` and what it captures must live until durable (or the fault) has been awaited.
  Pending submit(std::function<void(Database&)> work);

  // Submits and blocks until durable: start-up, tests, tools. Not on a loop thread.
  void run(std::function<void(Database&)> work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::store
