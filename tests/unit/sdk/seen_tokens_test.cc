#include "sdk/seen_tokens.h"

#include <gtest/gtest.h>

#include <string>

#include "crypto/hash.h"

namespace behalf::sdk {
namespace {

constexpr size_t kEntries = 4096;

Digest digest_of(size_t number) { return crypto::sha256("token " + std::to_string(number)); }

SeenToken some_token() { return {.delegation = std::make_shared<const Delegation>()}; }

// How many of [begin, end) are known.
size_t known(SeenTokens& seen, size_t begin, size_t end) {
  size_t count = 0;
  for (size_t number = begin; number < end; ++number)
    count += seen.find(digest_of(number)).delegation ? 1U : 0U;
  return count;
}

void remember(SeenTokens& seen, size_t begin, size_t end) {
  for (size_t number = begin; number < end; ++number) seen.remember(digest_of(number), some_token());
}

TEST(SeenTokens, tokens_that_are_shown_once_do_not_push_out_those_that_are_shown_again) {
  SeenTokens seen(kEntries);
  remember(seen, 0, 200);
  EXPECT_EQ(known(seen, 0, 200), 200U);
  remember(seen, 1'000, 1'000 + 2 * kEntries);
  EXPECT_EQ(known(seen, 0, 200), 200U);
}

TEST(SeenTokens, who_is_not_shown_any_more_makes_room) {
  SeenTokens seen(kEntries);
  remember(seen, 0, kEntries);
  const size_t stayed = known(seen, 0, kEntries);
  EXPECT_GT(stayed, kEntries / 2);
  remember(seen, 100'000, 100'000 + 8 * kEntries);
  EXPECT_LT(known(seen, 0, kEntries), kEntries / 50);
  // And what came last is there.
  EXPECT_EQ(known(seen, 100'000 + 8 * kEntries - 200, 100'000 + 8 * kEntries), 200U);
}

TEST(SeenTokens, what_is_forgotten_is_gone_and_nothing_is_kept_without_room) {
  SeenTokens seen(kEntries);
  remember(seen, 0, 2);
  EXPECT_EQ(known(seen, 0, 2), 2U);
  seen.forget(digest_of(0));
  EXPECT_EQ(known(seen, 0, 1), 0U);
  EXPECT_EQ(known(seen, 1, 2), 1U);
  SeenTokens none(0);
  remember(none, 0, 2);
  EXPECT_EQ(known(none, 0, 2), 0U);
}

}  // namespace
}  // namespace behalf::sdk
