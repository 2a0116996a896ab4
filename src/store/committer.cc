// The committing thread, and how callers wait for it.
//
// A waiting caller is one pointer in its work's State, exchanged once by the caller (who leaves its coroutine
// there) and once by the committing thread (who leaves "happened" there); whoever comes second knows what the
// other did. So neither a lock nor a wake-up is spent per work: each phase of a batch posts once to each
// loop.
#include "store/committer.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/loop.h"

namespace behalf::store {
namespace {

// The address that stands for "happened" where a waiting coroutine's address would stand.
char happened_mark;
void* const kHappened = &happened_mark;

// Where run() sleeps.
class Latch {
 public:
  void open() {
    // Under the lock, or the sleeper could destroy the latch before we are done with it.
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
};

}  // namespace

struct Committer::Pending::State {
  struct Wait {
    std::atomic<void*> waiter{nullptr};  // nobody, a coroutine, or kHappened
    Loop* loop = nullptr;                // written before the coroutine is left in `waiter`
  };
  Wait& operator[](Phase phase) { return phase == Phase::decided ? decided : durable; }

  std::function<void(Database&)> work;
  Wait decided;
  Wait durable;
  // A caller that has heard "decided" may look while the commit fails, so that moment reads a member of its
  // own.
  bool is_faulty_when_decided = false;
  std::exception_ptr fault;
  Latch* latch = nullptr;
};

bool Committer::Pending::Awaiter::await_ready() const noexcept {
  return state_[phase_].waiter.load(std::memory_order_acquire) == kHappened;
}

bool Committer::Pending::Awaiter::await_suspend(std::coroutine_handle<> caller) {
  State::Wait& wait = state_[phase_];
  wait.loop = Loop::current();
  void* found = nullptr;
  if (wait.waiter.compare_exchange_strong(found, caller.address(), std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
    return true;  // from here on the caller may be running elsewhere already: touch nothing
  }
  if (found != kHappened) throw std::logic_error("a pending work is awaited twice");
  return false;
}

void Committer::Pending::Awaiter::await_resume() const {
  if (phase_ == Phase::decided && !state_.is_faulty_when_decided) return;
  if (state_.fault) std::rethrow_exception(state_.fault);
}

class Committer::Engine {
 public:
  using State = Pending::State;
  using Phase = Pending::Phase;
  using Group = std::span<const std::shared_ptr<State>>;

  Engine(std::unique_ptr<Connector> connector, CommitterHooks hooks)
      : connector_(std::move(connector)),
        hooks_(std::move(hooks)),
        database_(connector_->open_writer()),
        thread_([this] { work_off(); }) {}

  ~Engine() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    something_waits_.notify_one();
    thread_.join();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  bool is_failing() const { return is_failing_.load(std::memory_order_relaxed); }

  void enqueue(std::shared_ptr<State> state) {
    bool is_first = false;
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) throw StoreUnavailable("the store is shutting down");
      if (queue_.size() >= kMaxQueue) throw StoreUnavailable("too many works wait for the store");
      is_first = std::exchange(is_idle_, false);
      queue_.push_back(std::move(state));
    }
    if (is_first) something_waits_.notify_one();
  }

  bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void work_off() {
    std::vector<std::shared_ptr<State>> batch;
    while (take(batch)) {
      run_group(batch);
      batch.clear();
      try {
        database_->maintain();
      } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
        // What was committed stays so. A connection that failed here is replaced at the next begin, which
        // says why if it cannot be.
        database_->rollback();
      }
    }
  }

  // Waits for works and takes them in order. False once there is nothing more to come.
  bool take(std::vector<std::shared_ptr<State>>& batch) {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) {
      is_idle_ = true;
      something_waits_.wait(lock, [this] { return !queue_.empty() || is_stopping_; });
      is_idle_ = false;
    }
    if (queue_.size() <= kMaxBatch) {
      batch.swap(queue_);
    } else {
      const auto end = queue_.begin() + kMaxBatch;
      batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
      queue_.erase(queue_.begin(), end);
    }
    return !batch.empty();
  }

  // One transaction. Only here are works run, so their callers hear of each phase once.
  void run_group(Group group) {
    std::exception_ptr fault;
    for (int conflicts = 0;; ++conflicts) {
      try {
        database_->begin();
        if (hooks_.begin_batch) hooks_.begin_batch(*database_);
        for (const auto& state : group) state->work(*database_);
        if (hooks_.end_batch) hooks_.end_batch(*database_);
        database_->flush();  // what was sent ahead can still fail, and then nothing is decided
        break;
      } catch (const StoreConflict& conflict) {
        roll_back();
        if (conflicts < kMaxConflicts) continue;
        return fail(group, std::string("the transaction kept losing to others: ") + conflict.what());
      } catch (const StoreUnavailable& unavailable) {
        roll_back();
        return fail(group, unavailable.what());
      } catch (...) {
        roll_back();
        if (group.size() == 1) fault = std::current_exception();
      }
      if (group.size() == 1) return fail_one(group, std::move(fault));
      // A pipelined fault can surface in a later work, so who threw proves nothing; being alone does. Halving
      // costs at most twice as many transactions as there are works, even if all of them are at fault.
      run_group(group.first(group.size() / 2));
      return run_group(group.subspan(group.size() / 2));
    }

    announce(group, Phase::decided);
    try {
      database_->commit();
    } catch (const std::exception& unknown) {
      // The callers have heard the decisions, so they cannot be made anew.
      roll_back();
      is_failing_.store(true, std::memory_order_relaxed);
      for (const auto& state : group)
        set_fault(*state, std::make_exception_ptr(StoreUnavailable(unknown.what())));
      return announce(group, Phase::durable);
    }
    if (is_failing_.load(std::memory_order_relaxed)) is_failing_.store(false, std::memory_order_relaxed);
    if (hooks_.committed) hooks_.committed();
    for (const auto& state : group) state->work = nullptr;  // what it captured may belong to the caller
    announce(group, Phase::durable);
  }

  void roll_back() {
    database_->rollback();
    if (hooks_.rolled_back) hooks_.rolled_back();
  }

  void fail_one(Group group, std::exception_ptr fault) {
    group.front()->is_faulty_when_decided = true;
    set_fault(*group.front(), std::move(fault));
    announce(group, Phase::decided);
    announce(group, Phase::durable);
  }

  // Every caller gets an exception of its own: they are read and dropped on different threads.
  void fail(Group group, const std::string& why) {
    is_failing_.store(true, std::memory_order_relaxed);
    for (const auto& state : group) {
      state->is_faulty_when_decided = true;
      set_fault(*state, std::make_exception_ptr(StoreUnavailable(why)));
    }
    announce(group, Phase::decided);
    announce(group, Phase::durable);
  }

  static void set_fault(State& state, std::exception_ptr fault) {
    state.work = nullptr;
    state.fault = std::move(fault);
  }

  // Resumes whoever waits for this phase, in order: one post to each loop.
  void announce(Group group, Phase phase) {
    std::vector<std::pair<Loop*, std::vector<std::coroutine_handle<>>>> wakes;
    for (const auto& state : group) {
      State::Wait& wait = (*state)[phase];
      void* waiter = wait.waiter.exchange(kHappened, std::memory_order_acq_rel);
      if (waiter != nullptr) {
        auto wake = wakes.begin();
        while (wake != wakes.end() && wake->first != wait.loop) ++wake;
        if (wake == wakes.end()) {
          wake = wakes.emplace(wakes.end(), wait.loop, std::vector<std::coroutine_handle<>>());
          wake->second.reserve(group.size());
        }
        wake->second.push_back(std::coroutine_handle<>::from_address(waiter));
      }
      if (phase == Phase::durable && state->latch != nullptr) state->latch->open();
    }
    for (auto& [loop, callers] : wakes) {
      auto resume = [callers = std::move(callers)] {
        for (const std::coroutine_handle<> caller : callers) caller.resume();
      };
      if (loop != nullptr) {
        loop->post(std::move(resume));
      } else {
        resume();
      }
    }
  }

  std::mutex mutex_;  // guards queue_, is_idle_, is_stopping_
  std::condition_variable something_waits_;
  std::vector<std::shared_ptr<State>> queue_;
  std::atomic<bool> is_failing_{false};
  bool is_idle_ = false;
  bool is_stopping_ = false;

  // The committing thread's own.
  const std::unique_ptr<Connector> connector_;
  const CommitterHooks hooks_;
  const std::unique_ptr<Database> database_;
  std::thread thread_;  // last: it uses all of the above
};

Committer::Committer(std::unique_ptr<Connector> connector, CommitterHooks hooks)
    : engine_(std::make_unique<Engine>(std::move(connector), std::move(hooks))) {}

bool Committer::is_failing() const { return engine_->is_failing(); }

Committer::~Committer() = default;

Committer::Pending Committer::submit(std::function<void(Database&)> work) {
  auto state = std::make_shared<Pending::State>();
  state->work = std::move(work);
  engine_->enqueue(state);
  return Pending(std::move(state));
}

void Committer::run(std::function<void(Database&)> work) {
  if (engine_->is_this_thread()) throw std::logic_error("run() inside a work would wait for itself");
  Latch latch;
  const auto state = std::make_shared<Pending::State>();
  state->work = std::move(work);
  state->latch = &latch;
  engine_->enqueue(state);
  latch.wait();
  if (state->fault) std::rethrow_exception(state->fault);
}

}  // namespace behalf::store
