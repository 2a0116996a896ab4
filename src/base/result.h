// A value or the reason why there is none. Refusals travel in a Result; broken machinery throws
// (docs/decisions/0002-refusals-commit-faults-roll-back.md).
#pragma once

#include <utility>
#include <variant>

namespace behalf {

// Wraps a reason so that Result<T, E> is unambiguous even where T and E are the same type.
template <class E>
struct Refused {
  E reason;
};

template <class E>
Refused(E) -> Refused<E>;

template <class T, class E>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Refused<E> refused) : state_(std::in_place_index<1>, std::move(refused.reason)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  const E& reason() const { return std::get<1>(state_); }
  Refused<E> refused() && { return Refused<E>{std::get<1>(std::move(state_))}; }

 private:
  std::variant<T, E> state_;
};

// For functions that only decide: "fine", or the reason why not.
struct Fine {};

}  // namespace behalf

// Passes on a refusal of the same reason type; otherwise yields the value. Plain functions only: GCC 12
// miscompiles statement expressions inside coroutines.
#define TRY(expression)                                        \
  __extension__({                                              \
    auto try_result_ = (expression);                           \
    if (!try_result_) return std::move(try_result_).refused(); \
    std::move(try_result_).value();                            \
  })
