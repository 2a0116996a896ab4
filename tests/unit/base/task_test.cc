// The light coroutine: lazy, hands back values and exceptions, and does not grow the stack as awaits follow
// each other.
#include "base/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace behalf {
namespace {

// GCC turns the hand-over from one coroutine to the next into a jump only when it optimises, and not under a
// sanitizer.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr int kManyTimes = 100'000;
#else
constexpr int kManyTimes = 1'000;
#endif

Task<int> give(int value) { co_return value; }
Task<int> fail() {
  throw std::runtime_error("broken");
  co_return 0;
}
Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await give(1);
  co_return sum;
}
Task<int> deep(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await deep(depth - 1);
}

// Waits until the test says go.
struct Gate {
  std::coroutine_handle<>* waiting;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) const { *waiting = caller; }
  void await_resume() const noexcept {}
};
Task<int> five_after(std::coroutine_handle<>* waiting) {
  co_await Gate{waiting};
  co_return 5;
}
Task<int> six_after(std::coroutine_handle<>* waiting) { co_return 1 + co_await five_after(waiting); }

template <class T>
T run(Task<T> task) {
  std::optional<T> result;
  std::exception_ptr fault;
  start(std::move(task), [&](std::optional<T> value, std::exception_ptr thrown) {
    result = std::move(value);
    fault = thrown;
  });
  if (fault) std::rethrow_exception(fault);
  return std::move(result).value();
}

TEST(Task, hands_back_a_value) { EXPECT_EQ(run(give(7)), 7); }

TEST(Task, hands_back_an_exception_to_whoever_awaits) {
  EXPECT_THROW(run(fail()), std::runtime_error);
  const auto catching = []() -> Task<std::string> {
    std::string what;
    try {
      (void)co_await fail();
    } catch (const std::runtime_error& fault) {
      what = fault.what();
    }
    co_return what;
  };
  EXPECT_EQ(run(catching()), "broken");
}

TEST(Task, does_nothing_before_it_is_awaited) {
  bool ran = false;
  const auto note = [&]() -> Task<int> {
    ran = true;
    co_return 1;
  };
  {
    const auto never = note();
    EXPECT_FALSE(ran);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(run(note()), 1);
  EXPECT_TRUE(ran);
}

TEST(Task, resumes_where_it_waited_and_reports_once) {
  std::coroutine_handle<> waiting;
  int done = 0;
  int value = 0;
  start(six_after(&waiting), [&](std::optional<int> result, std::exception_ptr) {
    ++done;
    value = result.value_or(0);
  });
  EXPECT_EQ(done, 0);
  ASSERT_TRUE(waiting);
  waiting.resume();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(value, 6);
}

TEST(Task, void_and_move_only_results_work) {
  int calls = 0;
  const auto count = [&]() -> Task<void> {
    ++calls;
    co_return;
  };
  const auto make = [&]() -> Task<std::unique_ptr<int>> {
    co_await count();
    co_return std::make_unique<int>(3);
  };
  const auto result = run(make());
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(*result, 3);
  EXPECT_EQ(calls, 1);
}

TEST(Task, destroys_what_an_unfinished_coroutine_held) {
  const auto held = std::make_shared<int>(1);
  const auto keep = [](std::shared_ptr<int> mine) -> Task<int> { co_return *mine; };
  {
    const auto never = keep(held);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Task, many_awaits_one_after_the_other_and_one_within_the_other) {
  EXPECT_EQ(run(sum_of(kManyTimes)), kManyTimes);
  EXPECT_EQ(run(deep(kManyTimes)), kManyTimes);
}

}  // namespace
}  // namespace behalf
