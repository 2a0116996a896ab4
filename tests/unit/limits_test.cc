// Limits as arithmetic: who is counted with whom, what is forgiven when, and what a flood cannot do.
#include "oauth/limits.h"

#include <gtest/gtest.h>

#include <string>

namespace behalf::oauth {
namespace {

class HandClock final : public Clock {
 public:
  UnixTime now() const override { return {1'795'000'000'000}; }
  int64_t steady_microseconds() const override { return at; }
  int64_t at = 5'000'000;
};
class CountingRandom final : public Random {
 public:
  void fill(std::span<unsigned char> out) override {
    for (unsigned char& byte : out) byte = ++last_;
  }

 private:
  unsigned char last_ = 0;
};

using Kind = Limits::Kind;

class LimitsTest : public testing::Test {
 protected:
  HandClock clock;
  CountingRandom random;
};

TEST_F(LimitsTest, a_burst_passes_and_then_one_at_a_time) {
  Limits limits(LimitSettings{.failures = 3, .failures_per_minute = 60}, Seconds{90}, Seconds{600}, clock,
                random);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(limits.wait(Kind::kClient, {"c"})) << i;
    limits.charge(Kind::kClient, {"c"});
  }
  ASSERT_TRUE(limits.wait(Kind::kClient, {"c"}));
  EXPECT_EQ(limits.wait(Kind::kClient, {"c"})->count, 1);
  clock.at += 999'999;
  EXPECT_TRUE(limits.wait(Kind::kClient, {"c"}));
  clock.at += 1;
  EXPECT_FALSE(limits.wait(Kind::kClient, {"c"}));
  limits.charge(Kind::kClient, {"c"});
  EXPECT_TRUE(limits.wait(Kind::kClient, {"c"}));
  limits.refund(Kind::kClient, {"c"});
  EXPECT_FALSE(limits.wait(Kind::kClient, {"c"}));
}

TEST_F(LimitsTest, kinds_names_and_parts_are_apart) {
  Limits limits(LimitSettings{.failures = 1, .failures_per_minute = 1}, Seconds{90}, Seconds{600}, clock,
                random);
  limits.charge(Kind::kStranger, {"ab", "c"});
  EXPECT_TRUE(limits.wait(Kind::kStranger, {"ab", "c"}));
  EXPECT_FALSE(limits.wait(Kind::kStranger, {"a", "bc"}));
  EXPECT_FALSE(limits.wait(Kind::kStranger, {"ab", "d"}));
  EXPECT_FALSE(limits.wait(Kind::kStranger, {"abc"}));
  EXPECT_FALSE(limits.wait(Kind::kClient, {"ab", "c"}));
  EXPECT_EQ(limits.wait(Kind::kStranger, {"ab", "c"})->count, 60);
}

TEST_F(LimitsTest, zero_is_no_limit) {
  Limits limits(LimitSettings{.failures = 0, .pushed_requests = 0}, Seconds{90}, Seconds{600}, clock, random);
  for (int i = 0; i < 1000; ++i) {
    limits.charge(Kind::kClient, {"c"});
    limits.charge(Kind::kPushedRequest, {"c"});
  }
  EXPECT_FALSE(limits.wait(Kind::kClient, {"c"}));
  EXPECT_FALSE(limits.wait(Kind::kPushedRequest, {"c"}));
}

TEST_F(LimitsTest, a_flood_of_names_frees_nobody_who_owes_more) {
  Limits limits(LimitSettings{.failures = 2, .failures_per_minute = 1}, Seconds{90}, Seconds{600}, clock,
                random);
  limits.charge(Kind::kStranger, {"guesser"});
  limits.charge(Kind::kStranger, {"guesser"});
  ASSERT_TRUE(limits.wait(Kind::kStranger, {"guesser"}));
  for (int i = 0; i < 200'000; ++i) limits.charge(Kind::kStranger, {std::to_string(i)});
  EXPECT_TRUE(limits.wait(Kind::kStranger, {"guesser"}));
}

TEST_F(LimitsTest, the_log_is_not_the_way_to_fill_the_disk) {
  Limits limits(LimitSettings{}, Seconds{90}, Seconds{600}, clock, random);
  int written = 0;
  for (int i = 0; i < 1000; ++i) written += limits.admit_record() ? 1 : 0;
  EXPECT_GE(written, 10);
  EXPECT_LE(written, 12);
  clock.at += 10'000'000;
  EXPECT_EQ(limits.admit_record(), 1000U - static_cast<unsigned>(written));
  EXPECT_EQ(limits.admit_record(), 0U);
}

TEST(NetworkOf, an_address_or_the_network_that_one_caller_has) {
  EXPECT_EQ(network_of("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(network_of("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:2:ffff::"));
  EXPECT_NE(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:3::9"));
  EXPECT_EQ(network_of("unix"), "unix");
}

}  // namespace
}  // namespace behalf::oauth
