// What is remembered of what was revoked, for how long, in how many bytes, and while others look.
#include "behalf/revocations.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace behalf::sdk {
namespace {

constexpr Milliseconds kNow = 1'800'000'000'000;
constexpr Milliseconds kHour = 3'600'000;

Delegation token(std::string_view id, Milliseconds issued_at = kNow) {
  Delegation delegation;
  delegation.issuer = "https://as.example";
  delegation.subject = "alice";
  delegation.client = "app";
  delegation.token_id = id;
  delegation.issued_at = issued_at;
  return delegation;
}

TEST(Revocations, an_item_more_or_less_is_a_version_and_the_same_again_is_none) {
  Revocations revocations;
  EXPECT_FALSE(revocations.revokes(token("t")));
  const uint64_t before = revocations.version();
  revocations.add({RevokedKind::kToken, "t", kNow, kNow + kHour});
  EXPECT_GT(revocations.version(), before);
  const uint64_t after = revocations.version();
  revocations.add({RevokedKind::kToken, "t", kNow, kNow + kHour});
  EXPECT_EQ(revocations.version(), after);
  EXPECT_EQ(revocations.size(), 1u);
  revocations.add({RevokedKind::kGrant, "t", kNow, kNow + kHour});
  EXPECT_EQ(revocations.size(), 2u) << "another kind is another item";
}

TEST(Revocations, the_later_time_counts_whichever_comes_first) {
  for (const bool later_first : {false, true}) {
    Revocations revocations;
    const Milliseconds first = later_first ? kNow + 10 : kNow;
    const Milliseconds second = later_first ? kNow : kNow + 10;
    revocations.add({RevokedKind::kPrincipal, "alice", first, first + kHour});
    revocations.add({RevokedKind::kPrincipal, "alice", second, second + kHour});
    EXPECT_TRUE(revocations.revokes(token("t", kNow + 10)));
    EXPECT_FALSE(revocations.revokes(token("t", kNow + 11)));
    EXPECT_EQ(revocations.size(), 1u);
  }
}

TEST(Revocations, an_empty_name_in_a_token_is_no_name) {
  Revocations revocations;
  for (const RevokedKind kind :
       {RevokedKind::kPrincipal, RevokedKind::kGrant, RevokedKind::kKey, RevokedKind::kResource}) {
    revocations.add({kind, "", kNow, kNow + kHour});
  }
  EXPECT_FALSE(revocations.revokes(token("t")));
}

TEST(Revocations, forgets_not_before_the_last_token_has_expired) {
  Revocations revocations;
  revocations.add({RevokedKind::kToken, "short", kNow, kNow + 60'000});
  revocations.add({RevokedKind::kToken, "long", kNow, kNow + kHour});
  revocations.add({RevokedKind::kToken, "very long", kNow, kNow + 24 * 365 * kHour});
  revocations.add({RevokedKind::kToken, "backwards", kNow, kNow - kHour});
  EXPECT_EQ(revocations.forget_before(kNow), 0u);
  EXPECT_EQ(revocations.forget_before(kNow + 60'000), 1u) << "the one that says it had ended before";
  EXPECT_TRUE(revocations.revokes(token("short")));
  EXPECT_EQ(revocations.forget_before(kNow + 60'000 + 64'001), 1u);
  EXPECT_FALSE(revocations.revokes(token("short")));
  EXPECT_EQ(revocations.forget_before(kNow + kHour), 0u);
  EXPECT_EQ(revocations.forget_before(kNow + kHour + 64'001), 1u);
  EXPECT_EQ(revocations.forget_before(kNow + 20 * 365 * 24 * kHour), 0u)
      << "too long to write down: for ever";
  EXPECT_TRUE(revocations.revokes(token("very long")));
  EXPECT_EQ(revocations.size(), 1u);
}

TEST(Revocations, said_again_with_a_later_end_is_kept_until_then) {
  Revocations revocations;
  revocations.add({RevokedKind::kToken, "t", kNow, kNow + kHour});
  revocations.add({RevokedKind::kToken, "t", kNow + 1'000, kNow + 2'000});
  EXPECT_EQ(revocations.forget_before(kNow + kHour), 0u);
  EXPECT_TRUE(revocations.revokes(token("t")));
}

TEST(Revocations, times_outside_of_what_fits_refuse_rather_than_accept) {
  Revocations revocations;
  revocations.add({RevokedKind::kPrincipal, "alice", INT64_MAX / 2, INT64_MAX});
  EXPECT_TRUE(revocations.revokes(token("t")));
  Revocations others;
  others.add({RevokedKind::kToken, "t", -5, INT64_MAX});
  EXPECT_TRUE(others.revokes(token("t")));
  EXPECT_EQ(others.forget_before(kNow), 0u);
}

TEST(Revocations, know_how_old_their_knowledge_is) {
  Revocations revocations(15'000);
  EXPECT_LT(revocations.age(1'000), 0);
  EXPECT_TRUE(revocations.is_stale(1'000)) << "never yet";
  revocations.fresh_as_of(100'000);
  EXPECT_EQ(revocations.age(115'000), 15'000);
  EXPECT_FALSE(revocations.is_stale(115'000));
  EXPECT_TRUE(revocations.is_stale(115'001));
  revocations.fresh_as_of(90'000);
  EXPECT_EQ(revocations.age(100'000), 0) << "an older word makes nothing older";
  Revocations unbounded(0);
  EXPECT_FALSE(unbounded.is_stale(1'000));
}

TEST(Revocations, a_million_items_take_sixteen_bytes_each) {
  constexpr size_t kItems = 1'000'000;
  Revocations revocations;
  for (size_t i = 0; i < kItems; ++i) {
    revocations.add({RevokedKind::kToken, "token-" + std::to_string(i),
                     kNow + static_cast<Milliseconds>(i % 1000), kNow + kHour});
  }
  EXPECT_EQ(revocations.size(), kItems);
  const double each = static_cast<double>(revocations.bytes()) / static_cast<double>(kItems);
  EXPECT_LE(each, 16.0);
  EXPECT_GE(each, 14.0) << "something is not counted";
  for (size_t i = 0; i < kItems; i += 997) {
    EXPECT_TRUE(revocations.revokes(token("token-" + std::to_string(i))));
    EXPECT_FALSE(revocations.revokes(token("other-" + std::to_string(i))));
  }
  EXPECT_EQ(revocations.forget_before(kNow + 2 * kHour), kItems);
  EXPECT_EQ(revocations.size(), 0u);
  EXPECT_LT(revocations.bytes(), 64u * 1024) << "empty again";
}

TEST(Revocations, what_was_added_is_found_by_whoever_learns_of_it_while_all_work_at_once) {
  Revocations revocations;
  std::atomic<size_t> added{0};
  std::atomic<bool> done{false};
  std::atomic<size_t> missed{0};
  std::vector<std::thread> readers;
  for (size_t r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      for (size_t i = r; !done; ++i) {
        const size_t known = added.load();
        if (known == 0) continue;
        if (!revocations.revokes(token("token-" + std::to_string(i % known)))) ++missed;
        if (revocations.revokes(token("never-" + std::to_string(i)))) ++missed;
      }
    });
  }
  for (size_t i = 0; i < 20'000; ++i) {
    revocations.add({RevokedKind::kToken, "token-" + std::to_string(i), kNow, kNow + kHour});
    revocations.add({RevokedKind::kGrant, "old-" + std::to_string(i), kNow - 2 * kHour, kNow - kHour});
    added = i + 1;
    if (i % 4'000 == 0) revocations.forget_before(kNow);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(missed, 0u);
}

}  // namespace
}  // namespace behalf::sdk
