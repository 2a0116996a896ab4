// The cache of tokens that are ours: bounded, two generations, and never right about a token it did not see.
#include "oauth/token_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace behalf::oauth {
namespace {

NodeId node(int number) { return NodeId("node-" + std::to_string(number)); }
std::string token(int number) { return "token-" + std::to_string(number); }

TEST(TokenCache, finds_what_it_was_told_and_nothing_else) {
  TokenCache cache;
  cache.remember("abc", node(1));
  EXPECT_EQ(cache.find("abc"), node(1));
  for (const char* other : {"", "ab", "abcd", "abC", "abc "}) EXPECT_FALSE(cache.find(other)) << other;
}

TEST(TokenCache, the_same_token_again_replaces_its_node) {
  TokenCache cache;
  cache.remember("abc", node(1));
  cache.remember("abc", node(2));
  EXPECT_EQ(cache.find("abc"), node(2));
}

TEST(TokenCache, keeps_the_last_half_and_never_more_than_its_capacity) {
  TokenCache cache(10);
  int found = 0;
  for (int i = 0; i < 1000; ++i) cache.remember(token(i), node(i));
  for (int i = 0; i < 1000; ++i) {
    const auto hit = cache.find(token(i));
    if (!hit) continue;
    ++found;
    EXPECT_EQ(*hit, node(i));
  }
  EXPECT_LE(found, 10);
  EXPECT_GE(found, 5);
  for (int i = 995; i < 1000; ++i) EXPECT_TRUE(cache.find(token(i))) << i;
  EXPECT_FALSE(cache.find(token(0)));
}

TEST(TokenCache, an_older_generation_is_still_found_until_the_next_is_full) {
  TokenCache cache(4);  // two a generation
  cache.remember(token(1), node(1));
  cache.remember(token(2), node(2));
  cache.remember(token(3), node(3));
  EXPECT_TRUE(cache.find(token(1)));
  cache.remember(token(4), node(4));
  EXPECT_TRUE(cache.find(token(1)));
  cache.remember(token(5), node(5));
  EXPECT_FALSE(cache.find(token(1)));
  EXPECT_TRUE(cache.find(token(3)));
}

TEST(TokenCache, many_threads_may_use_it) {
  TokenCache cache(64);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const int number = t * 10'000 + i;
        cache.remember(token(number), node(number));
        const auto hit = cache.find(token(number));
        if (hit && *hit != node(number)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace behalf::oauth
