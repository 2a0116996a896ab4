#include "oauth/password_pool.h"

#include <coroutine>

#include "base/loop.h"
#include "crypto/hash.h"

namespace behalf::oauth {

PasswordPool::PasswordPool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

PasswordPool::~PasswordPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool PasswordPool::enqueue(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= kMaxQueue) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void PasswordPool::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

namespace {

// Runs `job` on the pool and resumes the caller on its own loop. `enqueue` says whether there was room.
template <class Enqueue>
struct OnPool {
  Enqueue enqueue;
  std::function<void()> job;
  bool accepted = true;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) {
    Loop* loop = Loop::current();
    // Nothing of *this may be touched once the job is queued: it may resume the caller, and end this object,
    // at once.
    auto run = [this, caller, loop] {
      job();
      if (loop != nullptr)
        loop->post([caller] { caller.resume(); });
      else
        caller.resume();
    };
    if (enqueue(run)) return true;
    accepted = false;
    return false;
  }
  bool await_resume() const noexcept { return accepted; }
};

}  // namespace

Task<PasswordPool::Verdict> PasswordPool::verify(std::string phc, Secret password) {
  bool right = false;
  const bool known = !phc.empty();
  const auto put = [this](std::function<void()> job) { return enqueue(std::move(job)); };
  OnPool<decltype(put)> wait{
      put, [&] { right = crypto::verify_password(known ? phc : crypto::dummy_password_hash(), password); }};
  const bool accepted = co_await wait;
  if (!accepted) co_return Verdict::kBusy;
  co_return right&& known ? Verdict::kRight : Verdict::kWrong;
}

Task<PasswordPool::Hashed> PasswordPool::hash(Secret password) {
  std::string phc;
  const auto put = [this](std::function<void()> job) { return enqueue(std::move(job)); };
  OnPool<decltype(put)> wait{put, [&] { phc = crypto::hash_password(password); }};
  const bool accepted = co_await wait;
  co_return Hashed{.busy = !accepted, .phc = std::move(phc)};
}

}  // namespace behalf::oauth
