#include "store/revocation_log.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/loop.h"
#include "store/database.h"

namespace behalf::store {
namespace {

using SteadyClock = std::chrono::steady_clock;
// After the database could not be asked.
constexpr std::chrono::milliseconds kFaultPause{250};

}  // namespace

struct RevocationLog::Impl {
  mutable std::mutex mutex;
  std::condition_variable wake;     // of the log's thread
  std::condition_variable changed;  // for threads that wait for more
  // All guarded by the mutex.
  std::deque<std::shared_ptr<const Revocation>> items;  // without a gap, the last is `newest`
  int64_t newest = 0;
  int64_t forgotten = 0;  // the newest that memory no longer has
  std::vector<Awaiter*> waiting;
  size_t sleeping = 0;   // threads that wait for more
  uint64_t stirred = 0;  // how often stir() was called
  uint64_t ticket = 0;   // of the last who asked to be caught up
  bool is_closed = false;
  bool is_stopping = false;
  Fetch fetch;

  std::thread thread;

  void append(const RevocationList& more) {
    for (const auto& item : more) {
      if (item->sequence <= newest) continue;
      newest = item->sequence;
      items.push_back(item);
    }
    while (items.size() > kInMemory) {
      forgotten = items.front()->sequence;
      items.pop_front();
    }
    if (!more.empty() && sleeping > 0) changed.notify_all();
  }

  // Takes out of `waiting` whoever need not wait any more. `caught_up`: every ticket until it has been
  // served.
  std::vector<Awaiter*> take_ready(uint64_t caught_up, const std::exception_ptr& fault) {
    const auto now = SteadyClock::now();
    std::vector<Awaiter*> ready;
    std::erase_if(waiting, [&](Awaiter* each) {
      bool done = is_closed;
      if (each->what_ == Awaiter::For::kCaughtUp) {
        if (each->ticket_ <= caught_up) {
          done = true;
          each->fault_ = fault;
        } else if (is_closed) {  // an answer now would claim to know what was not asked
          each->fault_ = std::make_exception_ptr(StoreUnavailable("the server stops"));
        }
      } else {
        done = done || newest > each->seen_ || each->deadline_ <= now;
      }
      if (done) ready.push_back(each);
      return done;
    });
    return ready;
  }

  // Not under the lock: whoever is resumed may ask again at once.
  static void resume(const std::vector<Awaiter*>& ready) {
    for (Awaiter* each : ready) {
      const std::coroutine_handle<> caller = each->caller_;
      if (each->loop_ != nullptr)
        each->loop_->post([caller] { caller.resume(); });
      else
        caller.resume();
    }
  }

  bool somebody_asks() const {
    return std::any_of(waiting.begin(), waiting.end(),
                       [](const Awaiter* each) { return each->what_ == Awaiter::For::kCaughtUp; });
  }

  SteadyClock::time_point first_deadline() const {
    auto first = SteadyClock::time_point::max();
    for (const Awaiter* each : waiting) {
      if (each->what_ == Awaiter::For::kMore) first = std::min(first, each->deadline_);
    }
    return first;
  }

  void run() {
    std::unique_lock lock(mutex);
    auto next_fetch = SteadyClock::time_point::min();
    while (!is_stopping) {
      if (waiting.empty() && (sleeping == 0 || !fetch)) {
        wake.wait(lock, [this] { return is_stopping || !waiting.empty() || (sleeping > 0 && fetch); });
        continue;
      }
      uint64_t served = 0;
      std::exception_ptr fault;
      if (fetch && (somebody_asks() || SteadyClock::now() >= next_fetch)) {
        served = ticket;  // who asks from here on may mean something that is committed from here on
        const int64_t known = newest;
        RevocationList fetched;
        lock.unlock();
        try {
          fetched = fetch(known);
        } catch (...) {
          fault = std::current_exception();
        }
        lock.lock();
        append(fetched);
        next_fetch = SteadyClock::now() + (fault ? kFaultPause : kFetchInterval);
      }
      const std::vector<Awaiter*> ready = take_ready(served, fault);
      if (!ready.empty()) {
        lock.unlock();
        resume(ready);
        lock.lock();
        continue;
      }
      auto until = first_deadline();
      if (fetch) until = std::min(until, next_fetch);
      if (fetch && somebody_asks()) continue;
      const uint64_t known_ticket = ticket;
      const int64_t known_newest = newest;
      const auto has_cause = [&] {
        return is_stopping || is_closed || ticket != known_ticket || newest != known_newest;
      };
      if (until == SteadyClock::time_point::max())
        wake.wait(lock, has_cause);
      else
        wake.wait_until(lock, until, has_cause);
    }
  }
};

RevocationLog::RevocationLog() : impl_(std::make_unique<Impl>()) {}

RevocationLog::~RevocationLog() {
  close();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

int64_t RevocationLog::newest() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->newest;
}

std::optional<RevocationList> RevocationLog::after(int64_t sequence, size_t limit) const {
  const std::lock_guard lock(impl_->mutex);
  if (sequence < impl_->forgotten) return std::nullopt;
  const auto first = std::upper_bound(
      impl_->items.begin(), impl_->items.end(), sequence,
      [](int64_t wanted, const std::shared_ptr<const Revocation>& item) { return wanted < item->sequence; });
  const auto count = std::min(limit, static_cast<size_t>(impl_->items.end() - first));
  return RevocationList(first, first + static_cast<std::ptrdiff_t>(count));
}

bool RevocationLog::Awaiter::await_ready() const {
  Impl& impl = *log_.impl_;
  const std::lock_guard lock(impl.mutex);
  if (what_ == For::kCaughtUp) return !impl.fetch;
  return impl.is_closed || impl.newest > seen_ || patience_.count() <= 0;
}

bool RevocationLog::Awaiter::await_suspend(std::coroutine_handle<> caller) {
  Impl& impl = *log_.impl_;
  caller_ = caller;
  loop_ = Loop::current();
  deadline_ = SteadyClock::now() + patience_;
  const std::lock_guard lock(impl.mutex);
  if (what_ == For::kMore && (impl.is_closed || impl.newest > seen_)) return false;
  if (what_ == For::kCaughtUp && impl.is_closed) {
    fault_ = std::make_exception_ptr(StoreUnavailable("the server stops"));
    return false;
  }
  const bool was_nobody = impl.waiting.empty();
  const bool is_first_deadline = what_ == For::kMore && deadline_ < impl.first_deadline();
  if (what_ == For::kCaughtUp) ticket_ = ++impl.ticket;
  impl.waiting.push_back(this);
  // From here on the caller may be running elsewhere as soon as the lock is free.
  if (was_nobody || is_first_deadline || what_ == For::kCaughtUp) {
    if (is_first_deadline) ++impl.ticket;  // the thread sleeps towards a later one
    impl.wake.notify_all();
  }
  return true;
}

void RevocationLog::Awaiter::await_resume() const {
  if (fault_) std::rethrow_exception(fault_);
}

void RevocationLog::wait_for_more(int64_t seen, std::chrono::milliseconds patience) {
  std::unique_lock lock(impl_->mutex);
  ++impl_->sleeping;
  if (impl_->fetch) impl_->wake.notify_all();
  impl_->changed.wait_for(lock, patience, [this, seen, before = impl_->stirred] {
    return impl_->is_closed || impl_->newest > seen || impl_->stirred != before;
  });
  --impl_->sleeping;
}

void RevocationLog::stir() {
  std::vector<Awaiter*> ready;
  {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->stirred;
    impl_->changed.notify_all();
    std::erase_if(impl_->waiting, [&](Awaiter* each) {
      const bool is_for_more = each->what_ == Awaiter::For::kMore;
      if (is_for_more) ready.push_back(each);
      return is_for_more;
    });
  }
  Impl::resume(ready);
}

void RevocationLog::close() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_closed = true;
  }
  impl_->wake.notify_all();
  impl_->changed.notify_all();
}

bool RevocationLog::is_closed() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->is_closed;
}

void RevocationLog::start(int64_t newest, RevocationList kept, Fetch fetch) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->forgotten = kept.empty() ? newest : kept.front()->sequence - 1;
    impl_->append(kept);
    impl_->newest = std::max(impl_->newest, newest);
    impl_->fetch = std::move(fetch);
  }
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

void RevocationLog::publish(const RevocationList& committed) {
  if (committed.empty()) return;
  std::vector<Awaiter*> ready;
  {
    const std::lock_guard lock(impl_->mutex);
    // Where another server wrote in between, the thread fetches both; without the gap nobody may see the
    // later.
    const bool has_gap = committed.front()->sequence > impl_->newest + 1;
    if (!has_gap) impl_->append(committed);
    if (has_gap) ++impl_->ticket;
    ready = impl_->take_ready(0, nullptr);
  }
  if (ready.empty()) impl_->wake.notify_all();
  Impl::resume(ready);
}

}  // namespace behalf::store
