// How authority is passed on: invariants I3 (never more than before) and I4 (chains grow, and are never cut
// or reordered), RFC 8693 §4.1. First the rules one by one, then properties over many random chains and
// scopes.
#include "model/delegation.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

namespace behalf {
namespace {

Actor agent(std::string id, int64_t epoch = 1) { return {ActorKind::kAgent, std::move(id), epoch}; }
Actor service(std::string id) { return {ActorKind::kService, std::move(id), 1}; }

const OnwardPolicy kToAnyone{.to = {.everyone = true, .names = {}}, .depth = 3, .lifetime = {}};

DelegationRefusal refusal_of(const DelegationChain& chain, const Actor& next, const ExtensionRules& rules) {
  const auto result = extend(chain, next, rules);
  EXPECT_FALSE(result);
  return result ? DelegationRefusal{} : result.reason();
}

TEST(Extend, puts_the_new_actor_outermost_and_leaves_the_rest) {
  const DelegationChain chain{{agent("b", 2), agent("a")}};
  const auto longer = extend(chain, service("m"), {.max_depth = 4, .onward = &kToAnyone, .depth_left = 1});
  ASSERT_TRUE(longer);
  EXPECT_EQ(longer->actors, (std::vector<Actor>{service("m"), agent("b", 2), agent("a")}));
}

TEST(Extend, needs_a_hop_left_even_for_the_first_actor) {
  ASSERT_TRUE(extend({}, agent("a"), {.depth_left = 1}));
  EXPECT_EQ(refusal_of({}, agent("a"), {.depth_left = 0}), DelegationRefusal::kConsentForbids);
}

TEST(Extend, the_same_actor_again_adds_no_hop_and_needs_none) {
  const DelegationChain chain{{agent("b"), agent("a")}};
  const auto same = extend(chain, agent("b", 7), {.max_depth = 2, .depth_left = 0});
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, chain) << "the recorded epoch stays";
}

TEST(Extend, refuses_a_loop) {
  const DelegationChain chain{{agent("b"), agent("a")}};
  EXPECT_EQ(refusal_of(chain, agent("a"), {.onward = &kToAnyone, .depth_left = 3}), DelegationRefusal::kLoop);
  EXPECT_EQ(refusal_of(chain, agent("a", 9), {.onward = &kToAnyone, .depth_left = 3}),
            DelegationRefusal::kLoop)
      << "a new epoch is no new actor";
  EXPECT_TRUE(extend(chain, service("a"), {.onward = &kToAnyone, .depth_left = 3}))
      << "a service of that name is another";
}

TEST(Extend, lets_an_actor_reenter_only_after_the_one_it_named) {
  const std::vector<std::string> after_b{"b"};
  const std::vector<std::string> after_c{"c"};
  const DelegationChain chain{{agent("b"), agent("a")}};
  const auto again =
      extend(chain, agent("a"), {.onward = &kToAnyone, .depth_left = 1, .reenter_after = &after_b});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->depth(), 3U);
  EXPECT_EQ(refusal_of(chain, agent("a"), {.onward = &kToAnyone, .depth_left = 1, .reenter_after = &after_c}),
            DelegationRefusal::kLoop);
}

TEST(Extend, refuses_beyond_the_limit_instead_of_cutting) {
  const DelegationChain chain{{agent("d"), agent("c"), agent("b"), agent("a")}};
  EXPECT_EQ(refusal_of(chain, agent("e"), {.onward = &kToAnyone, .depth_left = 9}),
            DelegationRefusal::kTooDeep);
  EXPECT_TRUE(extend(chain, agent("e"), {.max_depth = 5, .onward = &kToAnyone, .depth_left = 9}));
  EXPECT_EQ(refusal_of({}, agent("a"), {.max_depth = 0, .depth_left = 9}), DelegationRefusal::kTooDeep);
}

TEST(Extend, asks_the_policy_of_whoever_passes_on) {
  const OnwardPolicy to_c{.to = {.everyone = false, .names = {"c"}}, .depth = 1, .lifetime = {}};
  const OnwardPolicy to_nobody;
  const DelegationChain chain{{agent("a")}};
  EXPECT_TRUE(extend(chain, agent("c"), {.onward = &to_c, .depth_left = 1}));
  EXPECT_EQ(refusal_of(chain, agent("b"), {.onward = &to_c, .depth_left = 1}),
            DelegationRefusal::kOnwardForbidden);
  EXPECT_EQ(refusal_of(chain, agent("b"), {.onward = &to_nobody, .depth_left = 1}),
            DelegationRefusal::kOnwardForbidden);
  EXPECT_TRUE(extend(chain, agent("b"), {.onward = nullptr, .depth_left = 1}))
      << "a service has no such policy";
  EXPECT_EQ(refusal_of(chain, agent("c"), {.onward = &to_c, .depth_left = 0}),
            DelegationRefusal::kConsentForbids);
}

TEST(DepthLeft, falls_by_one_and_to_the_agents_own_limit) {
  const OnwardPolicy one{.to = {}, .depth = 1, .lifetime = {}};
  const OnwardPolicy none;
  EXPECT_EQ(depth_left_after(3, &kToAnyone), 2);
  EXPECT_EQ(depth_left_after(5, &one), 1);
  EXPECT_EQ(depth_left_after(5, &none), 0);
  EXPECT_EQ(depth_left_after(5, nullptr), 4);
  EXPECT_EQ(depth_left_after(0, nullptr), 0);
  EXPECT_EQ(depth_left_after(0, &kToAnyone), 0);
}

TEST(NarrowScope, refuses_what_is_beyond_and_does_not_cut_it) {
  const ScopeSet parent{"a", "b", "c"};
  const ScopeSet ceiling{"a", "b"};
  EXPECT_EQ(*narrow_scope(ScopeSet{"a"}, parent, {&ceiling}), ScopeSet{"a"});
  EXPECT_EQ(narrow_scope(ScopeSet{"a", "z"}, parent, {&ceiling}).reason(), ScopeRefusal::kWidening);
  EXPECT_EQ(narrow_scope(ScopeSet{"a", "c"}, parent, {&ceiling}).reason(), ScopeRefusal::kCeiling);
}

TEST(NarrowScope, gives_the_intersection_when_nothing_was_asked) {
  const ScopeSet parent{"a", "b", "c"};
  const ScopeSet ab{"a", "b"};
  const ScopeSet bc{"b", "c"};
  const ScopeSet none;
  EXPECT_EQ(*narrow_scope(std::nullopt, parent, {&ab, nullptr, &bc}), ScopeSet{"b"});
  EXPECT_EQ(*narrow_scope(none, parent, {&ab}), ab) << "asking for nothing is not asking";
  EXPECT_EQ(narrow_scope(std::nullopt, parent, {&none}).reason(), ScopeRefusal::kNothing);
  EXPECT_EQ(narrow_scope(std::nullopt, none, {}).reason(), ScopeRefusal::kNothing);
}

TEST(EarliestEnd, is_the_first_of_all_limits) {
  const UnixTime now{1'000'000};
  EXPECT_EQ(earliest_end(now, Seconds{10}, {}), now + Seconds{10});
  EXPECT_EQ(earliest_end(now, Seconds{10}, {now + Seconds{20}, now + Seconds{5}, now + Seconds{7}}),
            now + Seconds{5});
  EXPECT_EQ(earliest_end(now, Seconds{10}, {now - Seconds{5}}), now - Seconds{5})
      << "never later than the parent, even an ended one";
}

TEST(Refusals, each_says_something_of_its_own) {
  std::set<std::string_view> texts;
  for (const auto refusal : {DelegationRefusal::kLoop, DelegationRefusal::kTooDeep,
                             DelegationRefusal::kOnwardForbidden, DelegationRefusal::kConsentForbids}) {
    texts.insert(describe(refusal));
  }
  for (const auto refusal : {ScopeRefusal::kWidening, ScopeRefusal::kCeiling, ScopeRefusal::kNothing})
    texts.insert(describe(refusal));
  EXPECT_EQ(texts.size(), 7U);
}

// ---- Properties ----

// A small alphabet, so that sets overlap and actors repeat often.
rc::Gen<ScopeSet> scopes() {
  return rc::gen::map(rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8)),
                      [](const std::vector<int>& letters) {
                        ScopeSet set;
                        for (const int letter : letters)
                          set.add(std::string(1, static_cast<char>('a' + letter)));
                        return set;
                      });
}
rc::Gen<Actor> actors() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 5), rc::gen::arbitrary<bool>(), rc::gen::inRange<int64_t>(1, 3)),
      [](const std::tuple<int, bool, int64_t>& parts) {
        const auto& [letter, is_agent, epoch] = parts;
        return Actor{is_agent ? ActorKind::kAgent : ActorKind::kService,
                     std::string(1, static_cast<char>('a' + letter)), epoch};
      });
}

void holds(const char* what, const std::function<void()>& property) {
  EXPECT_TRUE(rc::check(what, property));
}

TEST(Properties, narrowing_never_grows) {
  holds("what is granted is within parent, request and every ceiling", [] {
    const ScopeSet requested = *scopes();
    const ScopeSet parent = *scopes();
    const ScopeSet one = *scopes();
    const ScopeSet two = *scopes();
    const bool asked = *rc::gen::arbitrary<bool>();
    const auto granted = narrow_scope(asked ? std::optional(requested) : std::nullopt, parent, {&one, &two});
    if (!granted) return;
    RC_ASSERT(granted->is_at_most(parent));
    RC_ASSERT(granted->is_at_most(one));
    RC_ASSERT(granted->is_at_most(two));
    if (asked && !requested.empty()) RC_ASSERT(*granted == requested);
  });
}

TEST(Properties, narrowing_twice_changes_nothing_more) {
  holds("idempotent", [] {
    const ScopeSet parent = *scopes();
    const ScopeSet ceiling = *scopes();
    const auto once = narrow_scope(std::nullopt, parent, {&ceiling});
    RC_PRE(static_cast<bool>(once));
    const auto twice = narrow_scope(std::nullopt, *once, {&ceiling});
    RC_ASSERT(static_cast<bool>(twice));
    RC_ASSERT(*twice == *once);
    RC_ASSERT(static_cast<bool>(narrow_scope(*once, parent, {&ceiling})));
  });
}

TEST(Properties, a_smaller_parent_never_gives_more) {
  holds("monotone", [] {
    const ScopeSet large = *scopes();
    const ScopeSet small = large.intersect(*scopes());
    const ScopeSet ceiling = *scopes();
    const auto from_small = narrow_scope(std::nullopt, small, {&ceiling});
    const auto from_large = narrow_scope(std::nullopt, large, {&ceiling});
    if (!from_small) return;
    RC_ASSERT(static_cast<bool>(from_large));
    RC_ASSERT(from_small->is_at_most(*from_large));
  });
}

TEST(Properties, extending_leaves_inner_hops_untouched) {
  holds("the old chain is the tail of the new one", [] {
    DelegationChain chain;
    chain.actors = *rc::gen::container<std::vector<Actor>>(actors());
    const Actor next = *actors();
    const std::vector<std::string> reenter{"a", "b"};
    const ExtensionRules rules{.max_depth = *rc::gen::inRange<size_t>(0, 8),
                               .onward = *rc::gen::arbitrary<bool>() ? &kToAnyone : nullptr,
                               .depth_left = *rc::gen::inRange(0, 4),
                               .reenter_after = *rc::gen::arbitrary<bool>() ? &reenter : nullptr};
    const auto result = extend(chain, next, rules);
    if (!result) return;
    const size_t added = result->depth() - chain.depth();
    RC_ASSERT(added <= 1U);
    const std::vector<Actor> tail(result->actors.begin() + static_cast<std::ptrdiff_t>(added),
                                  result->actors.end());
    RC_ASSERT(tail == chain.actors);
    if (added == 1) {
      RC_ASSERT(result->depth() <= rules.max_depth);
      RC_ASSERT(rules.depth_left >= 1);
      RC_ASSERT(*result->outermost() == next);
    }
  });
}

TEST(Properties, the_hops_that_are_left_only_fall) {
  holds("each hop costs at least one", [] {
    const int before = *rc::gen::inRange(0, 10);
    const OnwardPolicy own{.to = {}, .depth = *rc::gen::inRange(0, 10), .lifetime = {}};
    const int after = depth_left_after(before, *rc::gen::arbitrary<bool>() ? &own : nullptr);
    RC_ASSERT(after >= 0);
    RC_ASSERT(after < before || before == 0);
  });
}

}  // namespace
}  // namespace behalf
