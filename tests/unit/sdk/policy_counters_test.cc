// Rates and budgets: never more than they say, whoever asks and however the clock is set.
#include <atomic>
#include <set>
#include <thread>

#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

std::shared_ptr<const Policy> limited(const std::string& limit) {
  return policy_of(
      "[[rule]]\nname = \"r\"\neffect = \"allow\"\nmethods = [\"GET\", \"POST\"]\npaths = [\"/**\"]\n" +
      limit);
}

struct Asker {
  std::shared_ptr<const Policy> policy;
  Policy::Counters counters;
  Decision at(Milliseconds now, const Delegation& delegation = token()) {
    return policy->decide(request("GET", "/x"), &delegation, now, {}, &counters);
  }
  int allowed(int tries, Milliseconds now, const Delegation& delegation = token()) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += at(now, delegation).allowed() ? 1 : 0;
    return count;
  }
};

TEST(PolicyCounters, a_rate_is_a_bucket_that_fills_evenly) {
  Asker asker{limited("rate = { per = \"actor\", count = 10, every = \"1m\" }"), Policy::Counters()};
  EXPECT_EQ(asker.allowed(20, kNoon), 10);
  const Decision refused = asker.at(kNoon);
  EXPECT_EQ(refused.effect, Effect::kTooMany);
  EXPECT_EQ(refused.rule, "r");
  EXPECT_EQ(refused.retry_after, 6);
  EXPECT_FALSE(asker.at(kNoon + 5'999).allowed());
  EXPECT_TRUE(asker.at(kNoon + 6'000).allowed());
  EXPECT_FALSE(asker.at(kNoon + 6'000).allowed());
  EXPECT_EQ(asker.allowed(20, kNoon + 66'000), 10);
}

TEST(PolicyCounters, a_rate_that_does_not_divide_evenly_still_keeps_its_count) {
  for (const int count : {1, 3, 7, 59, 61, 999}) {
    Asker asker{limited("rate = { per = \"actor\", count = " + std::to_string(count) + ", every = \"1s\" }"),
                Policy::Counters()};
    EXPECT_EQ(asker.allowed(count + 5, kNoon), count);
  }
}

TEST(PolicyCounters, each_actor_grant_and_person_is_counted_alone) {
  Delegation other_actor = token({"agent-mail"});
  Delegation other_grant = token();
  other_grant.grant = "g2";
  Delegation other_person = token();
  other_person.subject = "bob";
  const struct {
    const char* per;
    bool actor, grant, person;  // counted apart from alice's calendar agent under g1
  } kCases[] = {{"actor", true, false, false}, {"grant", false, true, false}, {"person", false, false, true}};
  for (const auto& one : kCases) {
    Asker asker{limited(std::string("budget = { per = \"") + one.per + "\", count = 1, in = \"total\" }"),
                Policy::Counters()};
    EXPECT_TRUE(asker.at(kNoon).allowed());
    EXPECT_FALSE(asker.at(kNoon).allowed());
    EXPECT_EQ(asker.at(kNoon, other_actor).allowed(), one.actor) << one.per;
    EXPECT_EQ(asker.at(kNoon, other_grant).allowed(), one.grant) << one.per;
    EXPECT_EQ(asker.at(kNoon, other_person).allowed(), one.person) << one.per;
  }
}

TEST(PolicyCounters, who_has_no_actor_or_grant_is_counted_all_the_same) {
  for (const char* per : {"actor", "grant"}) {
    Asker asker{limited(std::string("budget = { per = \"") + per + "\", count = 1, in = \"total\" }"),
                Policy::Counters()};
    Delegation delegation = token({});
    delegation.grant.clear();
    EXPECT_TRUE(asker.at(kNoon, delegation).allowed());
    EXPECT_FALSE(asker.at(kNoon, delegation).allowed());
  }
}

TEST(PolicyCounters, a_daily_budget_begins_anew_at_midnight_utc) {
  Asker asker{limited("budget = { per = \"grant\", count = 3, in = \"day\" }"), Policy::Counters()};
  EXPECT_EQ(asker.allowed(5, kNoon), 3);
  EXPECT_EQ(asker.at(kNoon).retry_after, 12 * 3600);
  EXPECT_FALSE(asker.at(kNoon + 12 * 3'600'000 - 1).allowed());
  EXPECT_EQ(asker.allowed(5, kNoon + 12 * 3'600'000), 3);
}

TEST(PolicyCounters, a_total_budget_does_not_come_back) {
  Asker asker{limited("budget = { per = \"grant\", count = 2, in = \"total\" }"), Policy::Counters()};
  EXPECT_EQ(asker.allowed(5, kNoon), 2);
  const Decision later = asker.at(kNoon + Milliseconds{365} * 86'400'000);
  EXPECT_EQ(later.effect, Effect::kTooMany);
  EXPECT_EQ(later.retry_after, 0) << "waiting does not help";
}

TEST(PolicyCounters, a_clock_that_goes_back_gives_nothing_back) {
  Asker rate{limited("rate = { per = \"actor\", count = 2, every = \"1m\" }"), Policy::Counters()};
  EXPECT_EQ(rate.allowed(5, kNoon), 2);
  EXPECT_EQ(rate.allowed(5, kNoon - 3'600'000), 0);
  EXPECT_EQ(rate.allowed(5, kNoon + 30'000), 1);
  Asker day{limited("budget = { per = \"actor\", count = 2, in = \"day\" }"), Policy::Counters()};
  EXPECT_EQ(day.allowed(5, kNoon), 2);
  EXPECT_EQ(day.allowed(5, kNoon - Milliseconds{86'400'000}), 0);
  EXPECT_EQ(day.allowed(5, kNoon), 0);
}

TEST(PolicyCounters, of_several_limits_all_are_taken_or_none) {
  Asker asker{limited("rate = [{ per = \"actor\", count = 5, every = \"1m\" }]\n"
                      "budget = [{ per = \"person\", count = 3, in = \"total\" }]"),
              Policy::Counters()};
  EXPECT_EQ(asker.allowed(10, kNoon), 3);
  // What the budget refused has not used the rate: two of five are left for another person.
  Delegation bob = token();
  bob.subject = "bob";
  EXPECT_EQ(asker.allowed(10, kNoon, bob), 2);
}

TEST(PolicyCounters, a_refused_request_is_not_counted) {
  Asker asker{
      limited("scopes = [\"calendar.write\"]\nbudget = { per = \"grant\", count = 1, in = \"total\" }"),
      Policy::Counters()};
  EXPECT_EQ(asker.at(kNoon).effect, Effect::kInsufficientScope);
  EXPECT_TRUE(asker.at(kNoon, token({"a"}, {"calendar.write"})).allowed());
}

TEST(PolicyCounters, without_counters_a_rule_with_limits_denies) {
  const auto policy = limited("budget = { per = \"grant\", count = 1, in = \"total\" }");
  const Delegation delegation = token();
  EXPECT_EQ(policy->decide(request("GET", "/x"), &delegation, kNoon, {}, nullptr).effect, Effect::kDenied);
}

TEST(PolicyCounters, survive_a_reload_by_the_name_of_the_rule) {
  Asker asker{limited("budget = { per = \"grant\", count = 2, in = \"total\" }"), Policy::Counters()};
  EXPECT_EQ(asker.allowed(5, kNoon), 2);
  asker.policy =
      limited("scopes = [\"calendar.read\"]\nbudget = { per = \"grant\", count = 3, in = \"total\" }");
  EXPECT_EQ(asker.allowed(5, kNoon), 1) << "the new count, less what was used";
}

TEST(PolicyCounters, survive_a_restart_if_saved) {
  Asker before{limited("budget = { per = \"grant\", count = 3, in = \"total\" }\n"
                       "rate = { per = \"actor\", count = 100, every = \"1h\" }"),
               Policy::Counters()};
  EXPECT_EQ(before.allowed(2, kNoon), 2);
  const std::string saved = before.counters.save(kNoon);
  Asker after{before.policy, Policy::Counters()};
  ASSERT_TRUE(after.counters.restore(saved));
  EXPECT_EQ(after.counters.size(), 2U);
  EXPECT_EQ(after.allowed(5, kNoon), 1);
  ASSERT_TRUE(after.counters.restore(saved));
  EXPECT_EQ(after.allowed(5, kNoon), 0) << "restoring gives nothing back";
  // What says nothing any more is not saved.
  EXPECT_LT(before.counters.save(kNoon + 3'600'000).size(), saved.size());
  for (const std::string& bad :
       {std::string(), saved.substr(1), saved + "x", saved.substr(0, saved.size() - 1)})
    EXPECT_FALSE(after.counters.restore(bad));
  std::string changed = saved;
  changed[40] = static_cast<char>(changed[40] ^ 1);
  EXPECT_FALSE(after.counters.restore(changed));
}

TEST(PolicyCounters, have_bounded_memory_and_forget_nothing_that_counts) {
  const auto policy = limited("budget = { per = \"grant\", count = 1, in = \"total\" }");
  Policy::Counters counters(160);
  const auto ask = [&](int number, Milliseconds now) {
    Delegation delegation = token();
    delegation.grant = "g" + std::to_string(number);
    return policy->decide(request("GET", "/x"), &delegation, now, {}, &counters);
  };
  std::set<int> taken;
  for (int i = 0; i < 1000; ++i) {
    if (ask(i, kNoon).allowed()) taken.insert(i);
  }
  EXPECT_EQ(taken.size(), 160U);
  EXPECT_EQ(counters.size(), 160U);
  for (const int i : taken) EXPECT_FALSE(ask(i, kNoon + 5'000).allowed()) << "its budget came back";
  // Daily ones make room the next day.
  const auto daily = limited("budget = { per = \"grant\", count = 1, in = \"day\" }");
  Policy::Counters days(160);
  const auto fill = [&](Milliseconds now) {
    int allowed = 0;
    for (int i = 0; i < 1000; ++i) {
      Delegation delegation = token();
      delegation.grant = "g" + std::to_string(now) + "." + std::to_string(i);
      allowed += daily->decide(request("GET", "/x"), &delegation, now, {}, &days).allowed() ? 1 : 0;
    }
    return allowed;
  };
  EXPECT_EQ(fill(kNoon), 160);
  EXPECT_EQ(fill(kNoon + 86'400'000), 160);
  EXPECT_LE(days.size(), 160U);
}

TEST(PolicyCounters, many_threads_get_no_more_than_one) {
  Asker asker{limited("budget = { per = \"grant\", count = 1000, in = \"total\" }"), Policy::Counters()};
  std::atomic<int> allowed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { allowed += asker.allowed(400, kNoon); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 1000);
}

TEST(PolicyCounters, what_is_given_back_is_there_again_and_no_more) {
  struct Case {
    const char* limit;
    Milliseconds later;
    int allowed;  // of ten, after one was taken and given back `later`
  } const kCases[] = {
      {"budget = { per = \"person\", count = 3, in = \"total\" }", 0, 3},
      {"budget = { per = \"person\", count = 3, in = \"day\" }", 0, 3},
      {"budget = { per = \"person\", count = 3, in = \"day\" }", 24 * 3'600'000, 3},
      {"rate = { per = \"person\", count = 3, every = \"1m\" }", 0, 3},
      {"rate = { per = \"person\", count = 3, every = \"1m\" }", 5'000, 3},
      {"rate = { per = \"person\", count = 3, every = \"1m\" }", 600'000, 3},
  };
  for (const Case& one : kCases) {
    Asker asker{limited(one.limit), Policy::Counters()};
    const Decision taken = asker.at(kNoon);
    ASSERT_TRUE(taken.allowed());
    ASSERT_TRUE(taken.taken);
    asker.counters.give_back(taken, kNoon + one.later);
    EXPECT_EQ(asker.allowed(10, kNoon + one.later), one.allowed) << one.limit;
  }
  // Another took meanwhile: the rate's bucket has filled by itself, too, and is not filled twice.
  Asker asker{limited("rate = { per = \"person\", count = 2, every = \"20s\" }"), Policy::Counters()};
  const Decision first = asker.at(kNoon);
  EXPECT_TRUE(asker.at(kNoon + 5'000).allowed());
  asker.counters.give_back(first, kNoon + 5'000);
  EXPECT_EQ(asker.allowed(5, kNoon + 5'000), 1);
  asker.counters.give_back(Decision(), kNoon);
}

}  // namespace
}  // namespace behalf::sdk
