// The cache of tokens that are ours: bounded, and never right about a token it did not see.
#include "oauth/token_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace behalf::oauth {
namespace {

NodeId node(int number) {
  const std::string digits = std::to_string(number);
  return NodeId(std::string(kOrderedIdLength - digits.size(), '0') + digits);
}
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

TEST(TokenCache, never_holds_more_than_its_capacity_and_always_the_last) {
  TokenCache cache(16);
  for (int i = 0; i < 1000; ++i) {
    cache.remember(token(i), node(i));
    EXPECT_EQ(cache.find(token(i)), node(i));
  }
  int found = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto hit = cache.find(token(i));
    if (!hit) continue;
    ++found;
    EXPECT_EQ(*hit, node(i));
  }
  EXPECT_LE(found, 16);
  EXPECT_GE(found, 8);
}

TEST(TokenCache, a_full_set_lets_its_oldest_go) {
  TokenCache cache(4);  // one set
  for (int i = 1; i <= 4; ++i) cache.remember(token(i), node(i));
  cache.remember(token(1), node(1));  // said again: the newest now
  cache.remember(token(5), node(5));
  EXPECT_FALSE(cache.find(token(2)));
  for (const int kept : {1, 3, 4, 5}) EXPECT_EQ(cache.find(token(kept)), node(kept));
}

TEST(TokenCache, an_id_of_another_form_is_not_remembered) {
  TokenCache cache;
  cache.remember("abc", NodeId(std::string_view("short")));
  EXPECT_FALSE(cache.find("abc"));
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
