// A value or the reason why not, and TRY, which hands a refusal on.
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace behalf {
namespace {

Result<int, std::string> half_of(int number) {
  if (number % 2 != 0) return Refused<std::string>{"odd"};
  return number / 2;
}

Result<std::string, std::string> quarter_in_words(int number, int& reached) {
  const int half = TRY(half_of(number));
  ++reached;
  const int quarter = TRY(half_of(half));
  ++reached;
  return std::to_string(quarter);
}

TEST(Result, holds_a_value_or_a_reason) {
  const auto good = half_of(8);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 4);
  const auto bad = half_of(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.reason(), "odd");
}

TEST(Result, value_and_reason_may_be_of_one_type) {
  const Result<std::string, std::string> value(std::string("same"));
  const Result<std::string, std::string> reason(Refused<std::string>{"same"});
  EXPECT_TRUE(value);
  EXPECT_FALSE(reason);
}

TEST(Result, TRY_goes_on_with_the_value_and_stops_at_the_first_refusal) {
  int reached = 0;
  const auto good = quarter_in_words(8, reached);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, "2");
  EXPECT_EQ(reached, 2);
  reached = 0;
  EXPECT_EQ(quarter_in_words(6, reached).reason(), "odd");
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(quarter_in_words(5, reached).reason(), "odd");
  EXPECT_EQ(reached, 1);
}

TEST(Result, TRY_moves_what_cannot_be_copied) {
  const auto make = [](bool good) -> Result<std::unique_ptr<int>, int> {
    if (!good) return Refused{5};
    return std::make_unique<int>(9);
  };
  const auto pass = [&](bool good) -> Result<int, int> {
    const std::unique_ptr<int> held = TRY(make(good));
    return *held;
  };
  EXPECT_EQ(pass(true).value(), 9);
  EXPECT_EQ(pass(false).reason(), 5);
}

}  // namespace
}  // namespace behalf
